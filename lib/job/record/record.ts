import type { JsonValue } from '../../core/execution-context';
import { withoutPasswords } from '../../core/redact';
import { isCount, isObject, isText, isTexts, isTime } from '../../support/type-guards';
import { NewerFormatError } from '../definition/errors';
import type { CarriedContext, EnqueueRequest, UniqueClaim } from '../definition/job-class';

/**
 * The version of the payload. Raise it only for what older code would misread, as that leaves such jobs to newer code
 * (perform/leave.ts). Add fields that older code may ignore under new names. Fields of `options` keep their types.
 */
const VERSION = 1;

/** The route by which a job was enqueued. */
export type Via = 'outbox' | 'redis' | 'fallback';

/** The markers that the end of a job leaves behind (fetch/fetch-script.ts). */
export type RouteMarkers = '' | 'f' | 'r' | 'fr';

const ROUTE_MARKERS: ReadonlyMap<string, RouteMarkers> = new Map([
  ['outbox', 'f'],
  ['redis', 'r'],
  ['fallback', 'fr'],
]);

/** The content of a job, as `data` of bee-queue's record and as `payload` of an outbox row. */
export interface Payload {
  readonly v: number;
  readonly class: string;
  readonly args: readonly JsonValue[];
  readonly via?: Via;
  /** The context of the enqueuing code, which the job runs in. */
  readonly attrs: CarriedContext;
  readonly tags?: readonly string[];
  /** The job holds a claim (outbox/insert.ts), which is released before its run, or at its end. */
  readonly unique?: UniqueClaim['until'];
  /** ms since 1970. */
  readonly enqueuedAt: number;
}

/** A record whose `data` is not a payload: it would fail in the same way on every run. */
export class UnreadableJobError extends Error {
  override readonly name = 'UnreadableJobError';
}

/** @param payload undefined if it cannot be read; then the job may have come by any route. */
export function routeMarkers(payload: Pick<Payload, 'via'> | undefined): RouteMarkers {
  if (!payload) return 'f';
  return payload.via === undefined ? '' : (ROUTE_MARKERS.get(payload.via) ?? 'f');
}

export function createPayload(
  { name, args, tags, context, unique }: Pick<EnqueueRequest, 'name' | 'args' | 'tags' | 'context' | 'unique'>,
  via: Via,
): Payload {
  return {
    v: VERSION,
    class: name,
    args,
    via,
    attrs: context,
    ...(tags.length > 0 && { tags }),
    ...(unique && { unique: unique.until }),
    enqueuedAt: Date.now(),
  };
}

/**
 * Also reads the payloads of plain bee-queue producers: only `class` and `args` are needed. Other fields of a wrong
 * type count as absent.
 * @param known versions above it are not read.
 * @throws UnreadableJobError; NewerFormatError when a newer version wrote it.
 */
export function readPayload(data: unknown, known = VERSION): Payload {
  const given = (data ?? {}) as Partial<Payload>;
  const v = given.v ?? VERSION;
  if (v > known) throw new NewerFormatError(isText(given.class) ? given.class : 'unreadable', v, VERSION);
  if (typeof given.class !== 'string') throw new UnreadableJobError('the record names no job class');
  if (given.args !== undefined && !Array.isArray(given.args)) {
    throw new UnreadableJobError(`the arguments of ${given.class} are not an array`);
  }
  return {
    args: [],
    ...given,
    v,
    class: given.class,
    attrs: readContext(given.attrs),
    ...(given.tags !== undefined && { tags: isTexts(given.tags) ? given.tags : [] }),
    // With an invalid value there may still be a claim to release.
    ...(given.unique !== undefined && { unique: given.unique === 'executing' ? 'executing' : 'executed' }),
    enqueuedAt: isTime(given.enqueuedAt) ? given.enqueuedAt : 0,
  };
}

function readContext(given: unknown): CarriedContext {
  const { requestId, locale, attributes } = (given ?? {}) as Partial<CarriedContext>;
  return {
    ...(isText(requestId) && { requestId }),
    ...(isText(locale) && { locale }),
    ...(isObject(attributes) && { attributes }),
  };
}

/** Number of errors that a record keeps, newest first, and the maximum length of each, characters. */
const ERRORS_KEPT = 5;
const ERROR_LENGTH = 4000;

/** Time and place of a failed run. */
export interface FailedRun {
  /** ms since 1970. */
  readonly at: number;
  /** 1 for the first run. */
  readonly attempt: number;
  /** Duration of the run, ms; absent for one that did not begin. */
  readonly ms?: number | undefined;
  readonly host: string;
  readonly pid: number;
}

/** A job as bee-queue keeps it in `bq:<queue>:jobs`. `attempts` and `reason` are ours; bee-queue preserves them. */
export interface JobRecord {
  readonly data: unknown;
  readonly options: {
    /** Time when it was put on its queue, or its row in the outbox fell due, ms since 1970. */
    readonly timestamp?: number;
    /** Time when its retry falls due, ms since 1970. */
    readonly dueAt?: number;
    /** Newest first. One without frames has the frames of the one before it, which saves space for repeated errors. */
    readonly stacktraces?: readonly string[];
    /** The runs whose errors `stacktraces` holds; fewer if an older version, or bee-queue, wrote some of these. */
    readonly failures?: readonly FailedRun[];
    /** Number of failed runs. */
    readonly attempts?: number;
    /** Number of these by the key of the `retryOn` rule that matched. */
    readonly attemptsBy?: Readonly<Record<string, number>>;
    /** The reason why it is dead. */
    readonly reason?: string;
    /** true if it has, or had, a cursor or progress stored beside it. */
    readonly noted?: boolean;
    /** The checkpoint of a dead job, as JSON. */
    readonly cursor?: string;
  };
  readonly status: string;
  readonly progress: unknown;
}

/**
 * The text of a fresh record, around a payload that is JSON already.
 * @param readyAt time since which it could run, ms since 1970. Default: now.
 */
export function newRecord(payloadJson: string, readyAt: number = Date.now()): string {
  return `{"data":${payloadJson},"options":{"timestamp":${readyAt},"stacktraces":[]},"status":"created","progress":0}`;
}

/** Fields of a wrong type count as absent. @throws UnreadableJobError when the text is not a record. */
export function readRecord(text: string): JobRecord {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new UnreadableJobError('the record is not JSON', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null) throw new UnreadableJobError('the record is not an object');
  const { data, options, status, progress } = parsed as Partial<JobRecord>;
  return { data, options: readOptions(options), status: status ?? 'created', progress: progress ?? 0 };
}

/** The data that a failure adds to the record besides its error. */
export interface FailureNotes {
  /** Key of the `retryOn` rule that matched. */
  readonly key?: string | undefined;
  readonly deadReason?: string | undefined;
  readonly noted?: boolean | undefined;
  readonly cursor?: string | undefined;
  /** Time when the next run is due, ms since 1970. */
  readonly dueAt?: number | undefined;
  readonly run?: FailedRun | undefined;
}

/** The record after one more failed run: `retrying`, or `failed` with the reason if the job is dead. */
export function failedRecord(record: JobRecord, error: Error, notes: FailureNotes = {}): JobRecord {
  const { options } = record;
  const { key, deadReason, noted, cursor, dueAt, run } = notes;
  const { attemptsBy = {} } = options;
  return {
    ...record,
    options: {
      ...options,
      attempts: (options.attempts ?? 0) + 1,
      stacktraces: newestFirst(traceOf(error), options.stacktraces),
      ...(run && { failures: [run, ...(options.failures ?? [])].slice(0, ERRORS_KEPT) }),
      ...(key !== undefined && { attemptsBy: { ...attemptsBy, [key]: (attemptsBy[key] ?? 0) + 1 } }),
      ...(deadReason !== undefined && { reason: withoutPasswords(String(deadReason)).slice(0, ERROR_LENGTH) }),
      ...(noted && { noted }),
      ...(cursor !== undefined && { cursor }),
      ...(dueAt !== undefined && { dueAt: Math.ceil(dueAt) }),
    },
    status: deadReason === undefined ? 'retrying' : 'failed',
  };
}

/** The record of a dead job that gets all its attempts again. Its errors and its cursor are kept. */
function resetAttempts(record: JobRecord): JobRecord {
  const { reason: _, attemptsBy: __, ...options } = record.options;
  return { ...record, options: { ...options, attempts: 0 }, status: 'created' };
}

/** The parts of a record for a job that an operator retries: its errors stay readable, all else starts anew. */
interface Revival {
  /** The dead job's `data`, and its `options`. */
  readonly payload: string;
  readonly options: string;
  /** Time since which it can run, ms since 1970. */
  readonly readyAt: number;
  /** true: it has a row in the outbox, which its end must delete. */
  readonly durable: boolean;
}

export function retriedRecord({ payload, options, readyAt, durable }: Revival): string {
  const dead = readRecord(deadRecord(payload, options));
  // The keys keep their order, by which scripts find the class.
  const data = durable ? { ...(dead.data as object), via: 'outbox' } : dead.data;
  const { dueAt: _, ...kept } = resetAttempts(dead).options;
  return JSON.stringify({ data, options: { ...kept, timestamp: readyAt }, status: 'created', progress: 0 });
}

/** The text of a dead job's record, from its parts. */
export function deadRecord(payload: string, options: string): string {
  const { progress = 0, ...known } = JSON.parse(options) as JobRecord['options'] & { readonly progress?: unknown };
  const rest = `"options":${JSON.stringify(known)},"status":"failed","progress":${JSON.stringify(progress)}`;
  return `{"data":${payload},${rest}}`;
}

function newestFirst(newest: string, older: readonly string[] = []): readonly string[] {
  const [previous, ...others] = older;
  if (previous === undefined) return [newest];
  // Repeated frames would make up most of a record, which Redis has to store and filters have to search.
  const repeated = framesOf(previous).join('') === framesOf(newest).join('');
  return [newest, repeated ? previous.replace(FRAME, '') : previous, ...others].slice(0, ERRORS_KEPT);
}

const FRAME = /\n {4}at [^\n]*/g;

/** An error without its frames: what it says, and what its causes say. */
export function messageOf(trace: string): string {
  return trace.replace(FRAME, '');
}

function framesOf(trace: string): readonly string[] {
  return trace.match(FRAME) ?? [];
}

/** The stack of the error and of its cause, without passwords: the cause of a timeout says more than the timeout. */
function traceOf(error: Error): string {
  const own = String(error.stack || error);
  const { cause } = error;
  const text = cause instanceof Error ? `${own}\nCaused by: ${cause.stack || cause}` : own;
  return withoutPasswords(text).slice(0, ERROR_LENGTH);
}

type Options = JobRecord['options'];

/** Type checks of the fields. Others are left as they are, since a newer version may have written them. */
const KINDS: { readonly [K in keyof Required<Options>]: (value: unknown) => boolean } = {
  timestamp: isTime,
  dueAt: isTime,
  stacktraces: isTexts,
  failures: (value) => Array.isArray(value) && value.every(isFailedRun),
  attempts: isCount,
  attemptsBy: (value) => isObject(value) && Object.values(value).every(isCount),
  reason: isText,
  noted: (value) => typeof value === 'boolean',
  cursor: isText,
};
const FIELDS = Object.entries(KINDS);

/**
 * Anybody with access to Redis can write nonsense, so fields of a wrong type count as absent. @param given is modified.
 */
function readOptions(given: unknown): Options {
  if (!isObject(given)) return {};
  const options: Record<string, unknown> = given as Record<string, unknown>;
  for (const [name, isOfItsKind] of FIELDS) {
    if (options[name] !== undefined && !isOfItsKind(options[name])) delete options[name];
  }
  return options;
}

function isFailedRun(value: unknown): value is FailedRun {
  const { at, attempt, host, pid } = (value ?? {}) as Partial<FailedRun>;
  return isTime(at) && isCount(attempt) && isText(host) && isCount(pid);
}

/**
 * The time since which a job could run, ms since 1970: it was put on its queue, or its retry fell due (`dueAt`;
 * bee-queue's own producers write `delay`). undefined if the record has none.
 */
export function readyAt(options: JobRecord['options']): number | undefined {
  const { timestamp, dueAt } = options;
  const { delay } = options as { readonly delay?: number };
  const at = Math.max(known(timestamp), known(dueAt), known(delay));
  return at === UNKNOWN ? undefined : at;
}

const UNKNOWN = Number.NEGATIVE_INFINITY;

function known(time: unknown): number {
  return isTime(time) ? time : UNKNOWN;
}
