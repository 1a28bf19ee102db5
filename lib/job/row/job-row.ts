import type { RunAt, UniqueClaim } from '../definition/job-class';

/**
 * The state of a job, which is a row from its enqueue to its end. Redis holds only ids: hints where to look, which may be lost,
 * stale or there twice (`hint/hints`). The statement that claims a row decides whether the job runs.
 *
 * lib/job/README.md#the-life-of-a-job has the picture. Each of its arrows is one statement in this folder:
 *
 * | arrow | function |
 * |---|---|
 * | INSERT | `insertJobs`; with a unique key also `claimKeys` |
 * | due | `makeDueReady` |
 * | claim; its limit is reached after all | `claim`, `claimByPriority`, `claimLimited` |
 * | admitted | `admit` |
 * | done, discarded, fails, left, returned | `recordOutcomes` |
 * | done, of a class with `keep` | `recordOutcomes`, by `insertFinished`; by `commit`, `deleteJob` in perform/checkpoint.ts |
 * | gives up | `recordOutcomes`, by `insertDead` |
 * | its process has died | `rescue` |
 * | cancelled | `cancelRows`; after a run `deleteAsked`, by the function that would end or return it |
 * | the reply to a claim was lost | `releaseUnknown` |
 * | an operator promotes, deletes or clears | `makeReady`, `deleteChosen`, `clearQueue` |
 * | an operator kills, or retries a dead job | `killJobs`, `reviveJobs` |
 * | dead or finished for too long, or too many | `pruneDead`, `pruneFinished` |
 * | of a batch nothing is left, or a job has died | `settleBatches` |
 */
export type JobState = 'scheduled' | 'held' | 'ready' | 'running';

/** A job that is to be enqueued, as its row. */
export interface NewJobRow {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  /** The text of a `Payload`. */
  readonly payload: string;
  readonly tags: readonly string[];
  /** undefined: it is due at once. */
  readonly runAt: RunAt | undefined;
  /** The key that its limit counts by; undefined for a class without one. */
  readonly limitKey?: string | undefined;
  /** Default 0. */
  readonly priority?: number | undefined;
  readonly unique?: UniqueClaim | undefined;
  /** The batch that it is a job of. */
  readonly batchId?: string | undefined;
}

/** A job that this process has claimed: it is `running`, and nobody else runs it unless this process seems to be dead. */
export interface Delivery {
  readonly id: string;
  readonly queue: string;
  /** The text of a `Payload`. */
  readonly payload: string;
  /** The text of a `JobHistory`; null when it has not failed yet. */
  readonly history: string | null;
  /** Runs that have failed. */
  readonly attempts: number;
  /** Claims without an outcome, this one included: above 1, a process died or stalled while it had the job. */
  readonly deliveries: number;
  /**
   * The time of this claim, as Postgres writes it. Together with the process that has claimed the job it is the fence. A
   * statement that ends another delivery of the job changes nothing, even if the same process has the job again.
   */
  readonly claimedAt: string;
  /** The key that its limit counts by. */
  readonly limitKey: string | null;
  /** The time since which it could run, ms since 1970. */
  readonly readyAt: number;
}
