import { AssertionError } from 'node:assert';
import { inspect, isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '../core/execution-context';
import type { CarriedContext } from '../job/definition/job-class';
import { type Args, type JobClass, jobNameOf, type Performable } from '../job/definition/job-class';
import { type ArgumentCodec, deserializeArguments, serializeArguments } from '../job/record/arguments';
import { readPayload, readRecord } from '../job/record/record';
import { type Duration, parseDuration } from '../support/duration';
import type { JobEnd, JobState, LoggedJob } from './job-log';
import type { JobMode, TestDependencies } from './use-jobs';

/** Work of a test that an assertion looks at. */
export type During = () => unknown;

interface Count {
  /** What is counted: `WelcomeEmailJob('7') on mailer`. */
  readonly subject: string;
  readonly verb: 'enqueued' | 'performed';
  readonly found: readonly LoggedJob[];
  /** undefined: at least one. */
  readonly times: number | undefined;
  /** A mark of the ledger: what came before it is not looked at. */
  readonly since: number;
}

/** @throws AssertionError that lists what there is instead; its stack begins at the `caller`. */
export function assertCount(mode: JobMode, count: Count, caller: (...args: never[]) => unknown): void {
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
export function check<T>(mode: JobMode, during: During | undefined, look: (since: number) => T): T | Promise<T> {
  if (!during) return look(0);
  const since = mode.ledger.mark;
  return (async () => {
    await during();
    return look(since);
  })();
}

function surroundings({ name, ledger, equipment }: JobMode, since: number): string[] {
  const list = (heading: string, ...states: readonly JobState[]) =>
    listJobs(heading, ledger.in(states, since), equipment);
  return [
    ...(name === 'inline' ? [] : [list('Enqueued', 'enqueued')]),
    ...(ledger.in(['pending'], since).length === 0 ? [] : [list('In transactions that have not committed', 'pending')]),
    list('Performed', 'performing', 'succeeded', 'discarded', 'dead', 'failed'),
    ...(name === 'inline' ? ['(useInlineJobs performs every job at once: none stays enqueued)'] : []),
  ];
}

/** Jobs that a message names at most. */
const SHOWN = 20;
const ENDS: Readonly<Partial<Record<LoggedJob['state'], string>>> = {
  pending: 'in a transaction that has not committed',
  performing: 'running',
  discarded: 'discarded',
  dead: 'dead',
  failed: 'failed',
};

/** `WelcomeEmailJob('7') on mailer, at 2030-01-01T00:00:00.000Z, run 2 times: discarded (Error: gone)`. */
function describeJob(entry: LoggedJob, { codec, filter }: TestDependencies): string {
  const { at, runs } = testJobOf(entry, codec);
  const { name, queue, jobClass } = entry.request;
  const shown = filter.show(jobClass, entry.args);
  const facts = [
    `${name}(${shown ? readable(shown, codec).map(valueText).join(', ') : '…'}) on ${queue}`,
    ...(at && (entry.state === 'enqueued' || entry.state === 'pending') ? [`at ${at.toISOString()}`] : []),
    ...(runs > 1 ? [`run ${runs} times`] : []),
  ];
  const end = ENDS[entry.state];
  const error = entry.error && ` (${entry.error.name}: ${entry.error.message})`;
  return `${facts.join(', ')}${end ? `: ${end}` : ''}${error ?? ''}`;
}

/** A heading and a job a line, or that there is none. */
export function listJobs(heading: string, entries: readonly LoggedJob[], equipment: TestDependencies): string {
  if (entries.length === 0) return `${heading}: none`;
  const lines = entries.slice(0, SHOWN).map((entry) => `  ${describeJob(entry, equipment)}`);
  if (entries.length > SHOWN) lines.push(`  and ${entries.length - SHOWN} more`);
  return [`${heading}:`, ...lines].join('\n');
}

/** What was looked for: `WelcomeEmailJob('7') on mailer at …`. */
export function describeMatch<J extends Performable>(
  jobClass: JobClass<J>,
  { args, queue, at, wait, where }: EnqueuedMatch<J>,
): string {
  const name = jobNameOf(jobClass);
  return [
    args === undefined ? name : `${name}(${args.map(valueText).join(', ')})`,
    ...(queue === undefined ? [] : [`on ${queue}`]),
    ...(at === undefined ? [] : [at === null ? 'to run at once' : `at ${at.toISOString()}`]),
    ...(wait === undefined ? [] : [`with wait ${JSON.stringify(wait)}`]),
    ...(where === undefined ? [] : ['that the where function takes']),
  ].join(' ');
}

function valueText(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, maxStringLength: 200 });
}

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
): (entry: LoggedJob) => boolean {
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

/** A job as a test sees it. */
export interface TestJob {
  readonly id: string;
  /** The name that travels. */
  readonly class: string;
  /** As `perform` gets them; as they travel where one would have to be loaded, as a model has. */
  readonly args: readonly unknown[];
  readonly queue: string;
  /** Not before; undefined: at once. */
  readonly at: Date | undefined;
  readonly tags: readonly string[];
  /** Of the code that enqueued it. */
  readonly context: CarriedContext;
  /** How often it has run. */
  readonly runs: number;
}

export interface PerformedTestJob extends TestJob {
  /**
   * discarded: it failed, and its class has such errors dropped. dead: it failed for the last time, or for good.
   * failed: with `useInlineJobs` only, which retries nothing.
   */
  readonly outcome: JobEnd;
  /** What its last run failed with. */
  readonly error: Error | undefined;
}

export function testJobOf(entry: LoggedJob, codec: ArgumentCodec): TestJob {
  const { request, dueAt, runs } = entry;
  const { args, attrs, tags = [] } = readPayload(readRecord(entry.record).data);
  const at = request.runAt || runs > 0 ? new Date(dueAt) : undefined;
  const { id, name, queue } = request;
  return { id, class: name, args: readable(args, codec), queue, at, tags, context: attrs, runs };
}

export function performedJobOf(entry: LoggedJob, codec: ArgumentCodec): PerformedTestJob {
  return { ...testJobOf(entry, codec), at: undefined, outcome: entry.state as JobEnd, error: entry.error };
}

/** Never asks the database: whoever looks at jobs does not wait. */
function readable(args: readonly JsonValue[], codec: ArgumentCodec): readonly unknown[] {
  if (JSON.stringify(args).includes('"$model"')) return args;
  try {
    const read = deserializeArguments(args, codec);
    if (!(read instanceof Promise)) return read;
    read.catch(() => undefined);
  } catch {
    // What cannot be read is shown as it is.
  }
  return args;
}
