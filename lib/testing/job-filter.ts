import type { JobClass } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import type { LoggedJob } from './job-log';

/** Selects jobs by class and queue. */
export interface JobFilter {
  /** Selects only jobs of these classes and their subclasses. Default: of all classes. */
  readonly only?: JobClass | readonly JobClass[] | undefined;
  /** Selects jobs of all classes except these and their subclasses. */
  readonly except?: JobClass | readonly JobClass[] | undefined;
  /** Selects only jobs of this queue. Default: of all queues. */
  readonly queue?: string | undefined;
}

/** Options of `performEnqueuedJobs`: which jobs it performs, and how it treats failures. */
export interface PerformOptions extends JobFilter {
  /** Performs jobs that are due by this moment. Default: now, by the clock that `travelTo` sets. */
  readonly at?: Date | undefined;
  /**
   * The treatment of a failed job that would be retried. now: it runs again without waiting, after the others, up to
   * the limits of its class. due: it stays enqueued until its time. never: its error is thrown at once. Default now. A
   * job that snoozes has not failed: it always waits for its time.
   */
  readonly retries?: 'now' | 'due' | 'never' | undefined;
}

/** @throws TypeError if both `only` and `except` are given. */
export function matchesFilter({ only, except, queue }: JobFilter): (entry: LoggedJob) => boolean {
  if (only !== undefined && except !== undefined) throw new TypeError('give either only or except, not both');
  const wanted = only === undefined ? undefined : [only].flat();
  const unwanted = except === undefined ? [] : [except].flat();
  return ({ request }) =>
    (wanted === undefined || wanted.some((one) => isOf(request.jobClass, one))) &&
    !unwanted.some((one) => isOf(request.jobClass, one)) &&
    (queue === undefined || request.queue === queue);
}

function isOf(jobClass: JobClass, wanted: JobClass): boolean {
  return jobClass === wanted || jobClass.prototype instanceof wanted;
}

/** @returns true if the job's time has come, or if it is a retry that need not wait. */
export function isDue({ dueAt, runs, snoozed }: LoggedJob, { at, retries = 'now' }: PerformOptions): boolean {
  if (runs > 0 && retries === 'now' && !snoozed) return true;
  return dueAt <= (at?.getTime() ?? Date.now());
}

/** Example: `WelcomeEmailJob or ReminderJob on mailer`. */
export function describeFilter({ only, except, queue }: JobFilter): string {
  const names = (classes: JobClass | readonly JobClass[]) => [classes].flat().map(effectiveName).join(' or ');
  return [
    only === undefined ? 'jobs' : names(only),
    ...(except === undefined ? [] : [`other than ${names(except)}`]),
    ...(queue === undefined ? [] : [`on ${queue}`]),
  ].join(' ');
}
