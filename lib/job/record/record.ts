import type { JsonValue } from '../../core/execution-context';
import { isCount, isObject, isText, isTexts, isTime } from '../../support/type-guards';
import type { CarriedContext, EnqueueRequest, UniqueClaim } from '../definition/job-class';

/** The version this code writes; a higher one was written by a newer deploy. */
const VERSION = 1;

/** The road a job took. */
export type Via = 'outbox' | 'redis' | 'fallback';

/** What a job's end leaves behind (fetch/fetch-script.ts). */
export type RouteEndMarkers = '' | 'f' | 'r' | 'fr';

const TRACES: ReadonlyMap<string, RouteEndMarkers> = new Map([
  ['outbox', 'f'],
  ['redis', 'r'],
  ['fallback', 'fr'],
]);

/** What travels, as `data` of bee-queue's record and as `payload` of an outbox row. */
export interface Payload {
  readonly v: number;
  readonly class: string;
  readonly args: readonly JsonValue[];
  readonly via?: Via;
  /** The context of the code that enqueued, carried into the job's own. */
  readonly attrs: CarriedContext;
  readonly tags?: readonly string[];
  /** The job holds a claim, to be released (outbox/insert.ts): before its run, or at its end. */
  readonly unique?: UniqueClaim['until'];
  /** Milliseconds since 1970. */
  readonly enqueuedAt: number;
}

/** A record whose `data` is no payload: it would fail the same way for ever. */
export class UnreadableJobError extends Error {
  override readonly name = 'UnreadableJobError';
}

/** @param payload undefined where it cannot be read: the job may be from anywhere then. */
export function routeEndMarkers(payload: Pick<Payload, 'via'> | undefined): RouteEndMarkers {
  if (!payload) return 'f';
  return payload.via === undefined ? '' : (TRACES.get(payload.via) ?? 'f');
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
 * Takes what a plain bee-queue producer may have written, too: only `class` and `args` are needed. What else there is
 * and not of its kind counts as absent.
 * @throws UnreadableJobError; Error when a newer version wrote it.
 */
export function readPayload(data: unknown): Payload {
  const given = (data ?? {}) as Partial<Payload>;
  if (typeof given.class !== 'string') throw new UnreadableJobError('the record names no job class');
  if (given.args !== undefined && !Array.isArray(given.args)) {
    throw new UnreadableJobError(`the arguments of ${given.class} are no array`);
  }
  const v = given.v ?? VERSION;
  if (v > VERSION)
    throw new Error(`${given.class} was enqueued in format ${v} by a newer deploy; this one knows ${VERSION}`);
  return {
    args: [],
    ...given,
    v,
    class: given.class,
    attrs: readContext(given.attrs),
    ...(given.tags !== undefined && { tags: isTexts(given.tags) ? given.tags : [] }),
    // Whatever it says, there may be a claim to be released.
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

/** How many errors a record keeps, newest first, and how long each may be. */
const ERRORS_KEPT = 5;
const ERROR_LENGTH = 4000;

/** When and where a run failed. */
export interface FailedRun {
  /** ms since 1970. */
  readonly at: number;
  /** 1 for the first run. */
  readonly attempt: number;
  /** How long it took; absent of one that did not begin. */
  readonly ms?: number | undefined;
  readonly host: string;
  readonly pid: number;
}

/** A job as bee-queue keeps it in `bq:<queue>:jobs`. `attempts` and `reason` are ours; bee-queue carries them along. */
export interface JobRecord {
  readonly data: unknown;
  readonly options: {
    /** When it was put on its queue, or its row in the outbox fell due, ms since 1970. */
    readonly timestamp?: number;
    /** When its retry falls due, ms since 1970. */
    readonly dueAt?: number;
    /** Newest first. One without frames has those of the one before it, as errors that repeat themselves do. */
    readonly stacktraces?: readonly string[];
    /** Of the runs whose errors `stacktraces` holds; shorter where an older version, or bee-queue, wrote some of these. */
    readonly failures?: readonly FailedRun[];
    /** Runs that have failed. */
    readonly attempts?: number;
    /** Of these, how many by the key of each `retryOn` rule that met them. */
    readonly attemptsBy?: Readonly<Record<string, number>>;
    /** Why it is dead. */
    readonly reason?: string;
    /** It has, or had, a cursor or progress beside it. */
    readonly noted?: boolean;
    /** JSON: where a dead job had come to. */
    readonly cursor?: string;
  };
  readonly status: string;
  readonly progress: unknown;
}

/**
 * The text of a fresh record, around a payload that is JSON already.
 * @param readyAt since when it could run, ms since 1970. Default: now.
 */
export function newRecord(payloadJson: string, readyAt: number = Date.now()): string {
  return `{"data":${payloadJson},"options":{"timestamp":${readyAt},"stacktraces":[]},"status":"created","progress":0}`;
}

/** @throws UnreadableJobError when the text is no record. What in it is not of its kind counts as absent. */
export function readRecord(text: string): JobRecord {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new UnreadableJobError('the record is not JSON', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null) throw new UnreadableJobError('the record is no object');
  const { data, options, status, progress } = parsed as Partial<JobRecord>;
  return { data, options: readOptions(options), status: status ?? 'created', progress: progress ?? 0 };
}

/** What a failure leaves in the record besides its error. */
export interface FailureNotes {
  /** Of the `retryOn` rule that met it. */
  readonly key?: string | undefined;
  readonly deadReason?: string | undefined;
  readonly noted?: boolean | undefined;
  readonly cursor?: string | undefined;
  /** When the next run is due, ms since 1970. */
  readonly dueAt?: number | undefined;
  readonly run?: FailedRun | undefined;
}

/** The record after one more failed run; `retrying`, or `failed` with the reason when it is dead. */
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
      ...(deadReason !== undefined && { reason: String(deadReason).slice(0, ERROR_LENGTH) }),
      ...(noted && { noted }),
      ...(cursor !== undefined && { cursor }),
      ...(dueAt !== undefined && { dueAt: Math.ceil(dueAt) }),
    },
    status: deadReason === undefined ? 'retrying' : 'failed',
  };
}

/** The record of a dead job that gets all its attempts anew. Its errors stay readable, and its cursor is kept. */
function resetAttempts(record: JobRecord): JobRecord {
  const { reason: _, attemptsBy: __, ...options } = record.options;
  return { ...record, options: { ...options, attempts: 0 }, status: 'created' };
}

/** As a job that an operator has retried is to be run: its errors stay readable, all else is anew. */
interface Revival {
  /** Of the dead job: its `data`, and its `options`. */
  readonly payload: string;
  readonly options: string;
  /** Since when it could run, ms since 1970. */
  readonly readyAt: number;
  /** It has a row in the outbox, which its end must delete. */
  readonly durable: boolean;
}

export function retriedRecord({ payload, options, readyAt, durable }: Revival): string {
  const dead = readRecord(deadRecord(payload, options));
  // Its keys stay in their order.
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
  // Most of a record would be the same frames over and over, which Redis has to keep, and filters to look through.
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

/** The stack, and that of what caused it: of a timeout the cause tells more. */
function traceOf(error: Error): string {
  const own = String(error.stack || error);
  const { cause } = error;
  const text = cause instanceof Error ? `${own}\nCaused by: ${cause.stack || cause}` : own;
  return text.slice(0, ERROR_LENGTH);
}

type Options = JobRecord['options'];

/** Of what kind each field is. Others are left as they are: a newer version may have written them. */
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

/** Whoever can write to Redis can write nonsense: what is not of its kind counts as absent. @param given is changed. */
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
 * Since when a job could have run, ms since 1970: it was put on its queue, or its retry fell due (`dueAt`; bee-queue's
 * own producers write `delay`). undefined where the record does not tell.
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
