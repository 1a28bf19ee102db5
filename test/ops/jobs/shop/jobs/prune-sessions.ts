import { Job } from '../../../../../lib/job/job';

export default class PruneSessionsJob extends Job<[]> {
  /** Seldom, so that no test meets its time. */
  static override readonly cron = '0 */12 * * *';

  perform(): void {}
}
