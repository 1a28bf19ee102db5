import { UserError } from '../../core/errors';
import type { JobClass } from './job-class';
import { effectiveName } from './options';

/** @returns the limits of `static concurrency`, by job name. @throws UserError for one that is not a whole number from 1. */
export function readLimits(
  classes: Iterable<Pick<JobClass, 'name' | 'jobName' | 'concurrency'>>,
): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const jobClass of classes) {
    const { concurrency } = jobClass;
    if (concurrency === undefined) continue;
    if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
      const shown = JSON.stringify(concurrency) ?? String(concurrency);
      throw new UserError(
        `${effectiveName(jobClass)}: concurrency is ${shown}; give a whole number from 1, or leave it out for no limit`,
      );
    }
    limits.set(effectiveName(jobClass), concurrency);
  }
  return limits;
}
