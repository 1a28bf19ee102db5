import { AssertionError } from 'node:assert';
import { inspect, isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '../core/execution-context';
import type { Args, CarriedContext, JobClass, Performable } from '../job/definition/job-class';
import { effectiveName } from '../job/definition/options';
import { deserializeArguments } from '../job/record/argument-decoder';
import { type ArgumentCodec, serializeArguments } from '../job/record/arguments';
import { parsePayload } from '../job/record/payload';
import { DeliverMailJob } from '../mailer/message';
import { type Duration, formatDuration, parseDuration } from '../support/duration';
import type { JobEnd, JobState, LoggedJob } from './job-log';
import type { MemoryJobs } from './memory-jobs';
import type { TestDependencies } from './use-jobs';

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
    ...(name === 'inline' ? [] : [list('Enqueued', 'enqueued')]),
    ...(jobLog.in(['pending'], since).length === 0 ? [] : [list('In transactions that have not committed', 'pending')]),
    list('Performed', 'performing', 'succeeded', 'discarded', 'dead', 'failed'),
    ...(name === 'inline' ? ['(useInlineJobs performs every job at once: none stays enqueued)'] : []),
  ];
}

/** Maximum number of jobs that a message lists. */
const MAX_LISTED = 20;
const ENDS: Readonly<Partial<Record<LoggedJob['state'], string>>> = {
  pending: 'in a transaction that has not committed',
  performing: 'running',
  discarded: 'discarded',
  dead: 'dead',
  failed: 'failed',
};

/** Example: `WelcomeEmailJob('7') on mailer, at 2030-01-01T00:00:00.000Z, run 2 times: discarded (Error: gone)`. */
function describeJob(entry: LoggedJob, { codec, redactor }: TestDependencies): string {
  const { at, runs } = toTestJob(entry, codec);
  const { name, queue, jobClass } = entry.request;
  const shown = redactor.show(jobClass, entry.args);
  const waits = entry.state === 'enqueued' || entry.state === 'pending';
  const { runAt } = entry.request;
  const what =
    describeMail(entry, shown) ?? `${name}(${shown ? readable(shown, codec).map(valueText).join(', ') : '…'})`;
  const facts = [
    `${what} on ${queue}`,
    ...(at && waits ? [`at ${at.toISOString()}`] : []),
    ...(runAt && 'inMs' in runAt && waits ? [`with wait ${formatDuration(runAt.inMs)}`] : []),
    ...(runs > 1 ? [`run ${runs} times`] : []),
  ];
  const end = ENDS[entry.state];
  const error = entry.error && ` (${entry.error.name}: ${entry.error.message})`;
  return `${facts.join(', ')}${end ? `: ${end}` : ''}${error ?? ''}`;
}

/** Example: ` with params { tenant: 'acme' }`; empty if there are none. */
export function paramsText(params: unknown): string {
  if (typeof params !== 'object' || params === null || Object.keys(params).length === 0) return '';
  return ` with params ${valueText(params)}`;
}

/** A mail for later, as the code that enqueued it wrote it: `the mail UserMailer.welcome('ada@example.com')`. */
function describeMail({ request }: LoggedJob, shown: readonly unknown[] | undefined): string | undefined {
  const [mail] = shown ?? [];
  if ((request.jobClass as unknown) !== DeliverMailJob || typeof mail !== 'object' || mail === null) return undefined;
  const { mailer, action, args, params } = mail as Record<string, unknown>;
  const values = Array.isArray(args) ? args.map(valueText).join(', ') : '';
  return `the mail ${mailer}.${action}(${values})${paramsText(params)}`;
}

/** Lists jobs below a heading, one per line, or says that there are none. */
export function listJobs(heading: string, entries: readonly LoggedJob[], dependencies: TestDependencies): string {
  if (entries.length === 0) return `${heading}: none`;
  const lines = entries.slice(0, MAX_LISTED).map((entry) => `  ${describeJob(entry, dependencies)}`);
  if (entries.length > MAX_LISTED) lines.push(`  and ${entries.length - MAX_LISTED} more`);
  return [`${heading}:`, ...lines].join('\n');
}

/** Describes the jobs that a match selects: `WelcomeEmailJob('7') on mailer at …`. */
export function describeMatch(
  name: string,
  {
    args,
    queue,
    at,
    wait,
    where,
  }: Pick<EnqueuedMatch, 'queue' | 'at' | 'wait'> & {
    readonly args?: readonly unknown[];
    readonly where?: unknown;
  },
): string {
  return [
    args === undefined ? name : `${name}(${args.map(valueText).join(', ')})`,
    ...(queue === undefined ? [] : [`on ${queue}`]),
    ...(at === undefined ? [] : [at === null ? 'to run at once' : `at ${at.toISOString()}`]),
    ...(wait === undefined ? [] : [`with wait ${JSON.stringify(wait)}`]),
    ...(where === undefined ? [] : ['that the where function accepts']),
  ].join(' ');
}

function valueText(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, maxStringLength: 200 });
}

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

/** A job as returned by assertions and `enqueuedJobs`. */
export interface TestJob {
  /** The job's UUID, as `performLater` returned it. */
  readonly id: string;
  /** The job's registered name. */
  readonly class: string;
  /** The arguments that `perform` gets; in serialized form if one is a model, since that would have to be loaded. */
  readonly args: readonly unknown[];
  /** The queue on which it is enqueued. */
  readonly queue: string;
  /** The time before which the job does not run; undefined: it may run at once. */
  readonly at: Date | undefined;
  /** The tags of its class, and those with which it was enqueued. */
  readonly tags: readonly string[];
  /** Context of the enqueuing code. */
  readonly context: CarriedContext;
  /** Number of runs so far. */
  readonly runs: number;
}

/** A finished job as returned by assertions and `performedJobs`. */
export interface PerformedTestJob extends TestJob {
  /**
   * discarded: it failed with an error that its class discards. dead: it failed for the last time, or for good. failed:
   * it failed under `useInlineJobs`, which does not retry.
   */
  readonly outcome: JobEnd;
  /** Error of the last run. */
  readonly error: Error | undefined;
}

export function toTestJob(entry: LoggedJob, codec: ArgumentCodec): TestJob {
  const { request, dueAt, runs } = entry;
  const { args, attrs, tags = [] } = parsePayload(entry.payload);
  const at = request.runAt || runs > 0 ? new Date(dueAt) : undefined;
  const { id, name, queue } = request;
  return { id, class: name, args: readable(args, codec), queue, at, tags, context: attrs, runs };
}

export function toPerformedJob(entry: LoggedJob, codec: ArgumentCodec): PerformedTestJob {
  return { ...toTestJob(entry, codec), at: undefined, outcome: entry.state as JobEnd, error: entry.error };
}

/** Deserializes arguments without a query, so that inspecting jobs stays synchronous. */
function readable(args: readonly JsonValue[], codec: ArgumentCodec): readonly unknown[] {
  if (JSON.stringify(args).includes('"$model"')) return args;
  try {
    const read = deserializeArguments(args, codec);
    if (!(read instanceof Promise)) return read;
    read.catch(() => undefined);
  } catch {
    // Arguments that cannot be deserialized are shown in serialized form.
  }
  return args;
}
