import { Job } from '../../../../../lib/job/job';

export default class PruneSessionsJob extends Job<[]> {
  /** Infrequent, so that it does not run during a test. */
  static override readonly cron = '0 */12 * * *';

  perform(): void {}
}
