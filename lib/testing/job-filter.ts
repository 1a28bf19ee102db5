import { type JobClass, jobNameOf } from '../job/job-class';
import type { LedgerEntry } from './ledger';
import type { JobFilter, PerformOptions } from './mode';

/** @throws TypeError where both `only` and `except` are given. */
export function matchesFilter({ only, except, queue }: JobFilter): (entry: LedgerEntry) => boolean {
  if (only !== undefined && except !== undefined) throw new TypeError('give either only or except, not both');
  const wanted = only === undefined ? undefined : [only].flat();
  const unwanted = except === undefined ? [] : [except].flat();
  return ({ request }) =>
    (wanted === undefined || wanted.includes(request.jobClass)) &&
    !unwanted.includes(request.jobClass) &&
    (queue === undefined || request.queue === queue);
}

/** Whether it is to run now, as far as time goes. */
export function isDue({ dueAt, runs }: LedgerEntry, { at, retries = 'now' }: PerformOptions): boolean {
  if (runs > 0 && retries === 'now') return true;
  return dueAt <= (at?.getTime() ?? Date.now());
}

/** `WelcomeEmailJob or ReminderJob on mailer`. */
export function describeFilter({ only, except, queue }: JobFilter): string {
  const names = (classes: JobClass | readonly JobClass[]) => [classes].flat().map(jobNameOf).join(' or ');
  return [
    only === undefined ? 'jobs' : names(only),
    ...(except === undefined ? [] : [`other than ${names(except)}`]),
    ...(queue === undefined ? [] : [`on ${queue}`]),
  ].join(' ');
}
