import { AssertionError } from 'node:assert';
import type { JobState, LedgerEntry } from './ledger';
import type { TestMode } from './mode';
import { listJobs } from './report';

/** Work of a test that an assertion looks at. */
export type During = () => unknown;

export interface Count {
  /** What is counted: `WelcomeEmailJob('7') on mailer`. */
  readonly subject: string;
  readonly verb: 'enqueued' | 'performed';
  readonly found: readonly LedgerEntry[];
  /** undefined: at least one. */
  readonly times: number | undefined;
  /** A mark of the ledger: what came before it is not looked at. */
  readonly since: number;
}

/** @throws AssertionError that lists what there is instead; its stack begins at the `caller`. */
export function assertCount(mode: TestMode, count: Count, caller: (...args: never[]) => unknown): void {
  const { subject, verb, found, times, since } = count;
  const actual = found.length;
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

/** Checks now, or after the work: then a promise is returned. */
export function check<T>(mode: TestMode, during: During | undefined, look: (since: number) => T): T | Promise<T> {
  if (!during) return look(0);
  const since = mode.ledger.mark;
  return (async () => {
    await during();
    return look(since);
  })();
}

function surroundings({ name, ledger, equipment }: TestMode, since: number): string[] {
  const list = (heading: string, ...states: readonly JobState[]) =>
    listJobs(heading, ledger.in(states, since), equipment);
  return [
    ...(name === 'inline' ? [] : [list('Enqueued', 'enqueued')]),
    ...(ledger.in(['pending'], since).length === 0 ? [] : [list('In transactions that have not committed', 'pending')]),
    list('Performed', 'performing', 'succeeded', 'discarded', 'dead', 'failed'),
    ...(name === 'inline' ? ['(useInlineJobs performs every job at once: none stays enqueued)'] : []),
  ];
}
