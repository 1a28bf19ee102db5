import type { Enqueuer } from '../job/enqueue/request';
import type { JobClass } from '../job/job-class';
import type { Equipment } from './equipment';
import type { Ledger } from './ledger';

/** Which jobs are meant. */
export interface JobFilter {
  readonly only?: JobClass | readonly JobClass[] | undefined;
  readonly except?: JobClass | readonly JobClass[] | undefined;
  readonly queue?: string | undefined;
}

export interface PerformOptions extends JobFilter {
  /** Performs what is due by this moment. Default: now, as `travelTo` has set it. */
  readonly at?: Date | undefined;
  /**
   * What becomes of a run that failed and is to be retried. now: it runs again without a wait, behind all others, up to
   * its limits. due: it stays enqueued until its time. never: its error is thrown at once. Default now.
   */
  readonly retries?: 'now' | 'due' | 'never' | undefined;
}

/** Where enqueued jobs go while a test has connected it. */
export interface TestMode extends Enqueuer {
  readonly name: 'fake' | 'inline' | 'real';
  readonly ledger: Ledger;
  readonly equipment: Equipment;
  /**
   * Performs what is enqueued, and what that enqueues.
   * @param since a mark of the ledger: leaves alone what was there before it.
   * @throws the error of the first job that dies.
   */
  perform(options: PerformOptions, since: number): Promise<void>;
  /** Forgets all jobs. */
  clear(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}
