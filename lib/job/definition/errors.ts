import type { EnqueuedJob } from './job-class';

/** Thrown in `perform`: this job is over, without a success, a retry or a trace in the dead set. */
export class DiscardJob extends Error {
  override readonly name = 'DiscardJob';
}

/** Thrown in `perform`: no retry would help; the job goes to the dead set with this message. */
export class KillJob extends Error {
  override readonly name: string = 'KillJob';
}

/** The class of a job is not in this app: often an older process met a newer job, so it is tried again. */
export class UnknownJobError extends Error {
  override readonly name = 'UnknownJobError';
}

/** A job was given a record whose row is gone by now. Discards the job, unless its class says otherwise. */
export class RecordGoneError extends Error {
  override readonly name = 'RecordGoneError';

  constructor(
    /** The name of the model's class. */
    readonly model: string,
    readonly id: string,
  ) {
    super(`the ${model} with the id ${id} is gone`);
  }
}

/** The process died, or stalled, each time it ran this job: it is not run any more. */
export class PoisonJobError extends Error {
  override readonly name = 'PoisonJobError';

  constructor(readonly deaths: number) {
    super(`the process died, or stalled, ${deaths} times while it ran this job`);
  }
}

/** Of several jobs some were enqueued and some were not. */
export class EnqueueError extends Error {
  override readonly name = 'EnqueueError';

  /** @param jobs what came of each job, in the order they were given in. */
  constructor(readonly jobs: readonly (EnqueuedJob | Error)[]) {
    const errors = jobs.filter((job) => job instanceof Error);
    super(`${errors.length} of ${jobs.length} jobs could not be enqueued, the others were: ${errors[0]?.message}`, {
      cause: errors[0],
    });
  }
}

/** @returns the jobs when all went well. @throws the error when all failed; EnqueueError when some did. */
export function allEnqueued(jobs: readonly (EnqueuedJob | Error)[]): EnqueuedJob[] {
  const enqueued = jobs.filter((job): job is EnqueuedJob => !(job instanceof Error));
  if (enqueued.length === jobs.length) return enqueued;
  if (enqueued.length > 0) throw new EnqueueError(jobs);
  throw jobs[0];
}
