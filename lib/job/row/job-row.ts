import type { RunAt, UniqueClaim } from '../definition/job-class';

/**
 * A job is a row, from its enqueue to its end. Redis holds ids only: a hint where to look, which may be lost, stale or there
 * twice (`hint/hints`). Whether a job runs is decided by the statement that claims its row (`row/claim`).
 *
 * ```text
 *  performLater                                        ┌── held ◀── its limit is reached ─┐
 *   │ INSERT, in the caller's transaction              ▼            (claim)               │
 *   ├── for now ───────────────────────────────────▶ ready ──────── claim ───────────▶ running ──▶ done, discarded: no row
 *   └── for later ──▶ scheduled ── due, or promoted ───▲                                  │
 *                         ▲                            ├── the process stops or dies ◀────┤
 *                         └── a retry, or left to another release (run_at) ◀──────────────┤
 *        job_dead ◀── gives up, or its processes died three times ◀───────────────────────┘
 *           └── an operator retries ──▶ ready          an operator kills what is scheduled, and deletes from any state but running
 * ```
 *
 * Each arrow is one statement:
 *
 * | arrow | statement | called by |
 * |---|---|---|
 * | INSERT | `insert.ts`, `insertJobs` | `enqueue/enqueuer`, `hint/plain-producers`; a hint follows the commit |
 * | due | `ready.ts`, `makeDueReady` | `dispatch/dispatcher`, in the process that leads |
 * | claim, or held | `claim.ts`: `claim`, `claimLimited` | `fetch/fetcher`, which then has `perform/executor` run it |
 * | held to ready | `claim.ts`, `admit` | `processor`, when a job of the limit has ended; `dispatch/dispatcher` |
 * | done, discarded, a retry, left, returned | `end.ts`, `recordOutcomes` | `fetch/fetcher`, as `perform/outcomes` says |
 * | gives up; an operator retries or kills | `dead.ts`: `insertDead`, `reviveJobs`, `killJobs` | `end.ts`; `sets/job-set`, which also promotes, reschedules and deletes |
 * | its process dies | `rescue.ts`, `rescue` | `dispatch/dispatcher`; `processes/process-reporter`, when the primary says so |
 *
 * What operators see are conditions on the row: *scheduled* and *retries* (attempts > 0) are `scheduled`, *waiting* is `ready`,
 * *blocked* is `held`, *busy* is `running`. Dead jobs are in a table of their own, since they stay for months.
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
  /** The name of the limit that it counts towards; undefined for a class without one. */
  readonly limitKey?: string | undefined;
  readonly unique?: UniqueClaim | undefined;
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
  /** Claims without an outcome, this one included: above 1, a process died or stalled while it ran the job. */
  readonly deliveries: number;
  /**
   * The time of this claim, as Postgres writes it. Together with the process that has claimed it, it is the fence: a statement
   * that ends another delivery of the job changes nothing, even if the same process has the job again.
   */
  readonly claimedAt: string;
  /** The name of the limit that it counts towards. */
  readonly limitKey: string | null;
  /** The time since which it could run, ms since 1970. */
  readonly readyAt: number;
}
