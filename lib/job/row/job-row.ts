import type { RunAt, UniqueClaim } from '../definition/job-class';

/**
 * A job is a row, from its enqueue to its end. Redis holds ids only: a hint where to look, which may be lost, stale or there
 * twice (`hint/hints`). Whether a job runs is decided by the statement that claims its row (`row/claim`).
 *
 * ```text
 *                          for later                 due, or promoted
 * performLater ─ INSERT ─┬───────────▶ scheduled ─────────────────────┐
 *  in the caller's       │                 ▲                          ▼         its limit is reached
 *  transaction, if any   └─ for now ───────┼──────────────────────▶ ready ◀──────────────────────────▶ held
 *                                          │                        │   ▲       free again
 *                                          │                  claim │   │ returned by a stop, or
 *                           fails, or left │                        ▼   │ its process has died
 *                      to another release  └─────────────────────── running ── done, or discarded ──▶ no row
 *                                                                     │
 *                                                                     └─ gives up ──▶ job_dead ── an operator retries it ──▶ ready
 * ```
 *
 * Each move of a row is one statement:
 *
 * | arrow | statement | called by |
 * |---|---|---|
 * | INSERT | `insert.ts`, `insertJobs`; with a unique key `unique.ts`, `claimKeys` | `enqueue/enqueuer`, also for the ticks of `cron/cron-service`; `hint/plain-producers`. After the commit `hint/hints` (`Announcer`) tells processors: by a hint; by NOTIFY of jobs for later, and while Redis takes no hints |
 * | due | `ready.ts`, `makeDueReady` | `dispatch/dispatcher` in the process that leads (`dispatch/leadership`; two do no harm), which then hints. It sleeps until the earliest `run_at`, or a NOTIFY |
 * | claim | `claim.ts`: `claim`, which passes over paused queues and does nothing in a copied database (by ids it waits for locked rows, a scan passes over them); for a class with a limit `claimLimited`, which holds the jobs beyond it, and takes an earlier held one in place of a chosen one | `fetch/fetcher`, which then has `perform/executor` run it |
 * | free again | `claim.ts`, `admit` | `processor`, when a job of the limit has ended; `dispatch/dispatcher`, each 5 s while it looks; both hint at the heads of the queues |
 * | done, discarded, fails, left | `end.ts`, `recordOutcomes` | `fetch/fetcher`, as `perform/outcomes` says, which has called `afterDiscard` before. It is sent until Postgres answers; if it was there already, or the row is not this delivery's any more, it is void (`job.fenced`). A job that a rule with a handler gives up is discarded. One that is left waits 1 s to 15 min, by its age, and fails after 21 days (`perform/jobs-left`) |
 * | gives up | the same, by `dead.ts`, `insertDead` | the same; at once when its record cannot be read. After three deliveries without an outcome the fourth does not run: `perform/executor` (`poisoned`) |
 * | returned | `end.ts`, `recordOutcomes`; the delivery is not counted, except after an uncaught error of unknown cause | `fetch/fetcher`: at a stop (`perform/executor` for runs that end when aborted, `processor`, `drain`, for the others), or when a claimed job cannot begin here |
 * | its process has died | `rescue.ts`, `rescue`; the delivery stays counted | `processes/process-reporter`, which the primary tells; `dispatch/dispatcher`, once the claim is 25 s old and `job_processes` has not seen its process for as long, or ever. One that was only frozen runs on until it saves a cursor, which throws, or progress, which aborts its signal (`perform/checkpoint`); its outcome is void |
 * | a claim whose reply was lost: running to ready | `claim.ts`, `releaseUnknown`; the delivery is not counted | `fetch/fetcher`, at its next look for jobs and at the first one 10 s later; one that is quiet or full does not look, so the row stays `running` until it does, or until `rescue`, which counts |
 * | a unique key is free again | with its row, or at death; `unique.ts`: `releaseUnique` when a run of an `until: 'executing'` begins, `findHolders` when its time (from `run_at`) is over. A retry keeps it | `perform/executor`; the next enqueue |
 * | an operator promotes, retries a retry; deletes what is scheduled, ready or dead | `moves.ts`: `makeReady`, `deleteChosen` | `sets/job-set` |
 * | an operator kills what is scheduled, or retries a dead job | `dead.ts`: `killJobs`, `reviveJobs` | `sets/job-set` |
 * | an operator clears a queue of ready and held jobs | `moves.ts`, `clearQueue` | `admin/queues` |
 * | dead for too long, or one of too many: no row | `dead.ts`, `pruneDead` | `dispatch/dispatcher` |
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
  /** Claims without an outcome, this one included: above 1, a process died or stalled while it had the job. */
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
