import { Job } from '../../../../../lib/job/job';

export default class PruneSessionsJob extends Job<[]> {
  static override readonly cron = '*/15 * * * *';

  perform(): void {}
}
