import { isDeepStrictEqual } from 'node:util';
import type { Args, JobClass, Performable } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import { type ArgumentCodec, serializeArguments } from '../job/record/arguments';
import { type Duration, parseDuration } from '../support/duration';
import type { LoggedJob } from './job-log';
import { type TestJob, toTestJob } from './test-job';

/** Tolerance for `at`, ms: the code under test reads the clock a little later than the test. */
const CLOCK_SLACK_MS = 1000;

/** Narrows an assertion about jobs of a class. An omitted property matches anything. */
export interface JobMatch<J extends Performable = Performable> {
  /** All arguments, as they are passed to `performLater`. */
  readonly args?: Readonly<Args<J>>;
  /** The queue on which it is enqueued. */
  readonly queue?: string;
  /** Number of matching jobs. Default: at least one. */
  readonly times?: number;
  /** An additional condition. */
  readonly where?: (job: TestJob) => boolean;
}

/** Narrows an assertion about enqueued jobs. An omitted property matches anything. */
export interface EnqueuedMatch<J extends Performable = Performable> extends JobMatch<J> {
  /** The time before which it must not run, to within a second; null: it may run at once. */
  readonly at?: Date | null;
  /** The `wait` with which it was enqueued. */
  readonly wait?: Duration;
}

/** @throws TypeError for arguments that cannot be serialized, since they could never match. */
export function matcher<J extends Performable>(
  jobClass: JobClass<J>,
  match: EnqueuedMatch<J>,
  codec: ArgumentCodec,
): (entry: LoggedJob) => boolean {
  const { queue, at, where } = match;
  const args = match.args && serialized(effectiveName(jobClass), match.args, codec);
  const wait = match.wait === undefined ? undefined : milliseconds(match.wait);
  return (entry) => {
    const { request } = entry;
    const job = toTestJob(entry, codec);
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

function serialized(name: string, args: readonly unknown[], codec: ArgumentCodec): unknown {
  return JSON.parse(JSON.stringify(serializeArguments(name, args, codec)));
}

function isAt(actual: Date | undefined, wanted: Date | null): boolean {
  if (wanted === null || actual === undefined) return wanted === null && actual === undefined;
  return Math.abs(actual.getTime() - wanted.getTime()) <= CLOCK_SLACK_MS;
}

function milliseconds(wait: Duration): number {
  const ms = parseDuration(wait);
  if (ms === undefined) throw new TypeError(`wait is ${JSON.stringify(wait)}, which is not a duration`);
  return ms;
}
