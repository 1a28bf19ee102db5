import type { JobClass } from './job-class';
import { effectiveName } from './options';

/** @returns the limits of `static concurrency`, by job name. */
export function readLimits(
  classes: Iterable<Pick<JobClass, 'name' | 'jobName' | 'concurrency'>>,
): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const jobClass of classes)
    if (jobClass.concurrency !== undefined) limits.set(effectiveName(jobClass), jobClass.concurrency);
  return limits;
}
