import { AssertionError } from 'node:assert';
import { listJobs } from './describe-job';
import type { JobState, LoggedJob } from './job-log';
import type { MemoryJobs } from './memory-jobs';

/** Code in a test whose effects an assertion checks. */
export type During = () => unknown;

/** The assertion that a message names, and at which the stack of its error starts. */
export type Caller = (...args: never[]) => unknown;

/** The jobs that an assertion counts. */
export interface Counted<T> {
  readonly verb: 'enqueued' | 'performed';
  readonly states: readonly JobState[];
  /** Description of these jobs, such as `WelcomeEmailJob('7') on mailer`. */
  readonly subject: string;
  readonly matches: (entry: LoggedJob) => boolean;
  /** undefined: at least one. */
  readonly times: number | undefined;
  /** The result of the assertion. */
  readonly present: (found: readonly LoggedJob[]) => T;
}

/**
 * Counts jobs at once, or, if `during` is given, those that it has enqueued when it ends.
 * @throws AssertionError that lists the actual jobs.
 */
export function assertCount<T>(
  mode: MemoryJobs,
  counted: Counted<T>,
  during: During | undefined,
  caller: Caller,
): T | Promise<T> {
  const count = (since: number) => {
    const found = mode.jobLog.in(counted.states, since).filter(counted.matches);
    checkCount(mode, counted, found.length, since, caller);
    return counted.present(found);
  };
  if (!during) return count(0);
  const since = mode.jobLog.mark;
  return (async () => {
    await during();
    return count(since);
  })();
}

function checkCount(
  mode: MemoryJobs,
  { subject, verb, times }: Pick<Counted<unknown>, 'subject' | 'verb' | 'times'>,
  actual: number,
  since: number,
  caller: Caller,
): void {
  if (times === undefined ? actual > 0 : actual === times) return;
  const wanted = times === undefined ? 'one or more' : times === 0 ? 'none' : String(times);
  const message = [`${subject}: ${wanted} should be ${verb}, found ${actual || 'none'}`, ...surroundings(mode, since)];
  throw new AssertionError({
    message: message.join('\n'),
    actual,
    expected: times ?? 1,
    operator: caller.name,
    stackStartFn: caller,
  });
}

function surroundings({ name, jobLog, dependencies }: MemoryJobs, since: number): string[] {
  const list = (heading: string, ...states: readonly JobState[]) =>
    listJobs(heading, jobLog.in(states, since), dependencies);
  return [
    ...(name === 'inline' && jobLog.in(['enqueued'], since).length === 0 ? [] : [list('Enqueued', 'enqueued')]),
    ...(jobLog.in(['pending'], since).length === 0 ? [] : [list('In transactions that have not committed', 'pending')]),
    list('Performed', 'performing', 'succeeded', 'discarded', 'dead', 'failed', 'cancelled', 'expired'),
    ...(name === 'inline'
      ? ['(useInlineJobs performs every job at once: none stays enqueued, unless it snoozes)']
      : []),
  ];
}
