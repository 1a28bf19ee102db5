import type { EnqueuedJob } from './request';

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
