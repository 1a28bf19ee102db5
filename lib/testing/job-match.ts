import { isDeepStrictEqual } from 'node:util';
import { type ArgumentCodec, serializeArguments } from '../job/enqueue/arguments';
import { type Args, type JobClass, jobNameOf, type Performable } from '../job/job-class';
import { type Duration, parseDuration } from '../support/duration';
import type { LedgerEntry } from './ledger';
import { type TestJob, testJobOf } from './test-job';

/** How far the time of a job may be from the one that is asked for: code under test reads the clock a little later, ms. */
const CLOCK_SLACK_MS = 1000;

/** Which jobs of a class are meant. What is left out is not looked at. */
export interface JobMatch<J extends Performable = Performable> {
  /** All of them, as they were given. */
  readonly args?: Readonly<Args<J>>;
  readonly queue?: string;
  /** The jobs must be that many. Default: at least one. */
  readonly times?: number;
  /** Anything else that must hold. */
  readonly where?: (job: TestJob) => boolean;
}

export interface EnqueuedMatch<J extends Performable = Performable> extends JobMatch<J> {
  /** When it may run: to the second. null: at once. */
  readonly at?: Date | null;
  /** The `wait` that it was enqueued with. */
  readonly wait?: Duration;
}

/** @throws TypeError for arguments that cannot travel, and so can never match. */
export function matcher<J extends Performable>(
  jobClass: JobClass<J>,
  match: EnqueuedMatch<J>,
  codec: ArgumentCodec,
): (entry: LedgerEntry) => boolean {
  const { queue, at, where } = match;
  const args = match.args && travelled(jobNameOf(jobClass), match.args, codec);
  const wait = match.wait === undefined ? undefined : milliseconds(match.wait);
  return (entry) => {
    const { request } = entry;
    const job = testJobOf(entry, codec);
    return (
      (request.jobClass as unknown) === jobClass &&
      (args === undefined || isDeepStrictEqual(entry.args, args)) &&
      (queue === undefined || request.queue === queue) &&
      (at === undefined || isAt(job.at, at)) &&
      (wait === undefined || (request.runAt !== undefined && 'inMs' in request.runAt && request.runAt.inMs === wait)) &&
      (where === undefined || where(job))
    );
  };
}

function travelled(name: string, args: readonly unknown[], codec: ArgumentCodec): unknown {
  return JSON.parse(JSON.stringify(serializeArguments(name, args, codec)));
}

function isAt(actual: Date | undefined, wanted: Date | null): boolean {
  if (wanted === null || actual === undefined) return wanted === null && actual === undefined;
  return Math.abs(actual.getTime() - wanted.getTime()) <= CLOCK_SLACK_MS;
}

function milliseconds(wait: Duration): number {
  const ms = parseDuration(wait);
  if (ms === undefined) throw new TypeError(`wait is ${JSON.stringify(wait)}, which is no length of time`);
  return ms;
}
