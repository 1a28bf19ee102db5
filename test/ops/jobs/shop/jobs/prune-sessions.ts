import { Job } from '../../../../../lib/job/job';

/** Performs in a thread. */
export default class PruneSessionsJob extends Job<[]> {
  /** Infrequent, so that it does not run during a test. */
  static override readonly cron = '0 */12 * * *';

  static override readonly thread = { memory: '64MB' } as const;

  perform(): void {}
}
