import { Job } from '../../../../../lib/job/job';

export default class SendDigestsJob extends Job<[]> {
  static override readonly cron = { at: '0 7 * * 1-5', timeZone: 'Europe/Berlin', name: 'send-digests' };

  perform(): void {}
}
