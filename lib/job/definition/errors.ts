import { type Duration, formatDuration, parseDuration } from '../../support/duration';
import type { EnqueuedJob } from './job-class';

/** Thrown in `perform` to end the job without success or retry, and without an entry in the dead set. */
export class DiscardJob extends Error {
  override readonly name = 'DiscardJob';
}

/** Thrown in `perform` when no retry would help: the job goes to the dead set with this message. */
export class KillJob extends Error {
  override readonly name: string = 'KillJob';
}

/**
 * Thrown in `perform` when a server asks to wait, as with a 429. No job of the key starts for this time, and the job itself runs
 * again after it. That is not a failure: it uses up no attempt.
 */
export class RateLimited extends Error {
  override readonly name = 'RateLimited';
  /** The key that is held, of those of the class; undefined: that of the job itself. */
  readonly key: string | undefined;
  /** ms. */
  readonly afterMs: number;

  /**
   * @param options `after`: the time to wait. `key`: the key to hold, as the class's key function returns it; default the job's
   * own. A class without `limit` and `rate` has no keys, so only the job itself waits.
   * @throws TypeError for an invalid time.
   */
  constructor(options: { readonly after: Duration; readonly key?: string | number | bigint }) {
    const { after, key } = options;
    const afterMs = parseDuration(after);
    if (afterMs === undefined)
      throw new TypeError(`RateLimited: after is ${JSON.stringify(after)}; give a length of time such as '30s'`);
    super(`no job of ${key === undefined ? 'its key' : `the key ${key}`} starts for ${afterMs} ms`);
    this.key = key === undefined ? undefined : String(key);
    this.afterMs = afterMs;
  }
}

/**
 * Thrown in `perform` to run the job again after a while: `throw new Snooze('5m')`. It is no failure: no attempt is used up, and
 * nothing is reported.
 */
export class Snooze extends Error {
  override readonly name = 'Snooze';
  /** The wait until the next run, ms. */
  readonly waitMs: number;

  /** @param wait time from the end of this run. @throws TypeError for an invalid duration, which is then the run's failure. */
  constructor(wait: Duration) {
    const waitMs = parseDuration(wait);
    if (waitMs === undefined) {
      throw new TypeError(
        `Snooze: ${JSON.stringify(wait)} is not a length of time; give milliseconds, or text such as '5m'`,
      );
    }
    super(`runs again in ${formatDuration(waitMs)}`);
    this.waitMs = waitMs;
  }
}

/** The job had not begun within its `expiresIn`, so it does not run. `afterDiscard` is called with it. */
export class JobExpiredError extends Error {
  override readonly name = 'JobExpiredError';

  constructor(
    /** The name of the job's class. */
    readonly jobName: string,
    /** The job's `expiresIn`, ms. */
    readonly expiresInMs: number,
  ) {
    super(`${jobName} had not begun ${formatDuration(expiresInMs)} after it was due`);
  }
}

/** The job needs something that only another release has (a class, a model …) and is left to it (perform/jobs-left.ts). */
export class NotHereError extends Error {
  override readonly name: string = 'NotHereError';
}

/** The class of a job is not in this app. */
export class UnknownJobError extends NotHereError {
  override readonly name = 'UnknownJobError';
}

/** A job's record is of a format that only newer code knows. */
export class NewerFormatError extends NotHereError {
  override readonly name = 'NewerFormatError';

  constructor(
    /** The name of the job's class; `unreadable` if the newer format keeps it elsewhere. */
    readonly jobName: string,
    format: number,
    known: number,
  ) {
    super(`${jobName} was enqueued in format ${format} by a newer release; this one knows ${known}`);
  }
}

/** The arguments of a job are encrypted with a key that is not in JOB_ENCRYPTION_KEYS. */
export class MissingKeyError extends NotHereError {
  override readonly name = 'MissingKeyError';

  constructor(jobName: string, keyId: string) {
    super(
      `what ${jobName} stores is encrypted with the key ${JSON.stringify(keyId.slice(0, 40))}, which JOB_ENCRYPTION_KEYS lacks`,
    );
  }
}

/** The row of a record that a job was given is gone. It discards the job, unless the class decides otherwise. */
export class RecordGoneError extends Error {
  override readonly name = 'RecordGoneError';

  constructor(
    /** The name of the model's class. */
    readonly model: string,
    /** The id by which the row was looked for. */
    readonly id: string,
  ) {
    super(`the ${model} with the id ${id} is gone`);
  }
}

/** The process died or stalled each time it ran this job, so it is not run any more. */
export class PoisonJobError extends Error {
  override readonly name = 'PoisonJobError';

  constructor(readonly deaths: number) {
    super(`the process died, or stalled, ${deaths} times while it ran this job`);
  }
}

/** Some of several jobs were enqueued and some were not. */
export class EnqueueError extends Error {
  override readonly name = 'EnqueueError';

  /** @param jobs the result of each job, in the order in which they were given. */
  constructor(readonly jobs: readonly (EnqueuedJob | Error)[]) {
    const errors = jobs.filter((job) => job instanceof Error);
    super(`${errors.length} of ${jobs.length} jobs could not be enqueued, the others were: ${errors[0]?.message}`, {
      cause: errors[0],
    });
  }
}

/**
 * Two transactions wait for each other's unique jobs or rows, so Postgres has ended this one, and nothing of it is stored: run it
 * again. Its `cause` is the error of Postgres.
 */
export class EnqueueDeadlockError extends Error {
  override readonly name = 'EnqueueDeadlockError';

  constructor(
    /** The name of the class, or of the first of several, whose jobs were to be enqueued. */
    readonly jobName: string,
    cause: unknown,
  ) {
    super(
      `${jobName}: another transaction has enqueued the same unique jobs in another order, or locked rows that this one needs. ` +
        'Nothing of this transaction is stored: run it again. To avoid this, let one performAllLater enqueue them all, as its last statement',
      { cause },
    );
  }
}

/** A run was asked to cancel: the reason of its signal. Its `cause` is the error that the handler threw then. */
export class JobCancelledError extends Error {
  override readonly name = 'JobCancelledError';

  constructor(
    /** The name of the job's class. */
    readonly jobName: string,
    /** As it was given to `cancel`; '' when none was. */
    readonly reason: string,
  ) {
    super(`${jobName} was cancelled${reason === '' ? '' : `: ${reason}`}`);
  }
}

/**
 * Why a job has no result. not kept: its class has no `keep`, or it cannot be stored. dead: it died. gone: it was discarded,
 * cancelled or deleted, has expired, was kept for long enough, or never existed. timeout: it has not ended in time.
 */
export type NoResult = 'not kept' | 'dead' | 'gone' | 'timeout';

/** The result of a job that has none, or none yet. */
export class JobResultError extends Error {
  override readonly name = 'JobResultError';

  constructor(
    /** The UUID of the job. */
    readonly jobId: string,
    /** Why there is no result. */
    readonly reason: NoResult,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The job was given to another process that took this one for dead, so the rest of this run would be done twice. */
export class JobTakenError extends Error {
  override readonly name = 'JobTakenError';
}

/**
 * The thread of a run has ended before it. out of memory: it needed more than its class's `thread.memory`. exited: its code called
 * `process.exit`. terminated: it went on for too long after its signal was aborted.
 */
export class JobThreadError extends Error {
  override readonly name = 'JobThreadError';

  constructor(
    /** The name of the job's class. */
    readonly jobName: string,
    /** Why its thread has ended. */
    readonly reason: 'out of memory' | 'exited' | 'terminated',
    message: string,
  ) {
    super(`${jobName}: ${message}`);
  }
}

/** A run took longer than its class's `timeout`. Its `cause` is the error that the handler threw then. */
export class JobTimeoutError extends Error {
  override readonly name = 'JobTimeoutError';

  constructor(
    /** The name of the job's class. */
    readonly jobName: string,
    /** The class's `timeout`, ms. */
    readonly timeoutMs: number,
  ) {
    super(`${jobName} did not end within its timeout of ${timeoutMs} ms`);
  }
}
