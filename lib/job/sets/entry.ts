import type { JsonValue } from '../../core/execution-context';
import { toError } from '../../support/async';
import type { CarriedContext } from '../definition/job-class';
import {
  type FailedRun,
  type JobRecord,
  messageOf,
  type Payload,
  readPayload,
  readRecord,
  routeMarkers,
} from '../record/record';

/** The places that a job may be in. `blocked`: it waits for its class's concurrency limit. */
export type SetName = 'waiting' | 'active' | 'blocked' | 'retry' | 'scheduled' | 'dead';

export interface JobError {
  /** The error's name and message, and those of its causes. */
  readonly message: string;
  /** Message and frames; of repeated errors only the newest keeps its frames. */
  readonly stack: string;
  /** The run that failed with it; undefined when that was not recorded. */
  readonly run: FailedRun | undefined;
}

/** A job as operators see it, wherever it is. */
export interface JobEntry {
  readonly id: string;
  readonly queue: string;
  readonly set: SetName;
  /** The job name; undefined when the record has none. */
  readonly class: string | undefined;
  /** Serialized arguments: dates, models and the like are in their tagged form. */
  readonly args: readonly JsonValue[];
  /** Time of the next run (retry, scheduled), of death (dead), or of enqueueing; undefined when it is not recorded. */
  readonly at: Date | undefined;
  readonly enqueuedAt: Date | undefined;
  /** Number of failed runs. */
  readonly attempts: number;
  /** The latest five errors, newest first. */
  readonly errors: readonly JobError[];
  /** The reason why it died. */
  readonly reason: string | undefined;
  readonly tags: readonly string[];
  /** Context of the code that enqueued it. */
  readonly context: CarriedContext;
  /** The value that its run last passed to `progress()`. */
  readonly progress: unknown;
  /** The reason why the record cannot be read, in whole or in part; undefined when it can. */
  readonly unreadable: string | undefined;
  /** The record's text; undefined when it is readable or missing. */
  readonly raw: string | undefined;
}

interface EntrySource {
  readonly id: string;
  readonly queue: string;
  readonly set: SetName;
  readonly at: Date | undefined;
  /** The record's text; undefined when there is none. */
  readonly text: string | undefined;
  /** The run's progress, as JSON. */
  readonly progress?: string | undefined;
}

/** Describes a job by its record. Never throws: a record that cannot be read gives an entry with `unreadable`. */
export function describeJob(source: EntrySource): JobEntry {
  const { id, queue, set, text } = source;
  // A score may not be a valid time, since plain producers can write anything.
  const at = Number.isNaN(source.at?.getTime()) ? undefined : source.at;
  const known = { id, queue, set, at, progress: parsed(source.progress) };
  if (text === undefined) return { ...known, ...NOTHING, unreadable: 'the job has no record' };
  let record: JobRecord;
  try {
    record = readRecord(text);
  } catch (thrown) {
    return { ...known, ...NOTHING, unreadable: toError(thrown).message, raw: text };
  }
  const { attempts, reason, timestamp } = record.options;
  const fromRecord = {
    ...known,
    at: at ?? dateOf(timestamp),
    attempts: attempts ?? 0,
    errors: describeErrors(record.options),
    reason,
    progress: known.progress ?? (record.progress === 0 ? undefined : record.progress),
  };
  try {
    return { ...fromRecord, ...describePayload(readPayload(record.data), timestamp), ...READABLE };
  } catch (thrown) {
    const given = (record.data as Partial<Payload> | null)?.class;
    const name = typeof given === 'string' ? given : undefined;
    return { ...NOTHING, ...fromRecord, class: name, unreadable: toError(thrown).message, raw: text };
  }
}

/** Describes a row of the outbox that was not dispatched yet. Never throws. */
export function describeRow(row: Omit<EntrySource, 'text' | 'progress'> & { readonly payload: string }): JobEntry {
  const { payload, ...known } = row;
  try {
    const read = describePayload(readPayload(JSON.parse(payload)), undefined);
    return { ...NOTHING, ...known, ...read, ...READABLE };
  } catch (thrown) {
    return { ...NOTHING, ...known, unreadable: toError(thrown).message, raw: payload };
  }
}

const READABLE = { unreadable: undefined, raw: undefined } as const;
const NOTHING = {
  ...READABLE,
  class: undefined,
  args: [],
  enqueuedAt: undefined,
  attempts: 0,
  errors: [],
  reason: undefined,
  tags: [],
  context: {},
  progress: undefined,
} as const;

function describePayload(payload: Payload, timestamp: unknown) {
  const { attrs, tags } = payload;
  return {
    class: payload.class,
    args: payload.args,
    enqueuedAt: dateOf(payload.enqueuedAt) ?? dateOf(timestamp),
    tags: tags ?? [],
    context: attrs,
  };
}

function describeErrors({ stacktraces = [], failures = [] }: JobRecord['options']): JobError[] {
  return stacktraces.map((stack, index) => ({
    message: messageOf(stack),
    stack,
    run: failures[index],
  }));
}

function dateOf(ms: unknown): Date | undefined {
  const date = new Date(Number(ms) || Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function parsed(json: string | undefined): unknown {
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

export const KILLED = 'killed by an operator';

type Rewrite = (record: JobRecord) => JobRecord;

/** @returns the record's new text; undefined when it cannot be read, and so stays as it is. */
export function rewritten(text: string | undefined, rewrite: Rewrite | undefined): string | undefined {
  if (text === undefined || !rewrite) return undefined;
  try {
    return JSON.stringify(rewrite(readRecord(text)));
  } catch {
    return undefined;
  }
}

/** @returns the record of a job that is put on its queue now; its latency is measured from `now` (ms since 1970). */
export function queuedRecord(record: JobRecord, now = Date.now()): JobRecord {
  const { dueAt: _, ...options } = record.options;
  return { ...record, options: { ...options, timestamp: now } };
}

/** @returns the record of a rescheduled job; its latency is measured from `dueAt` (ms since 1970). */
export function dueRecord(record: JobRecord, dueAt: number): JobRecord {
  return { ...record, options: { ...record.options, dueAt } };
}

export function killedRecord(record: JobRecord): JobRecord {
  return { ...record, options: { ...record.options, reason: KILLED }, status: 'failed' };
}

/** @returns the payload of a record's text; undefined when there is none that can be read. */
export function payloadOf(text: string | undefined): Payload | undefined {
  if (text === undefined) return undefined;
  try {
    return readPayload(readRecord(text).data);
  } catch {
    return undefined;
  }
}

/** @returns true for a job that failed and will be retried; filter-script.ts has the same rule in Lua. */
export function isRetrying(text: string | undefined): boolean {
  try {
    return text !== undefined && readRecord(text).status === 'retrying';
  } catch {
    return false;
  }
}

/** @returns the time at which the job was put on its queue, ms since 1970; 0 when it is unknown. */
export function queuedAt(text: string | undefined): number {
  try {
    return (text !== undefined && Number(readRecord(text).options.timestamp)) || 0;
  } catch {
    return 0;
  }
}

/** @returns the markers that the job's end leaves in Redis (fetch/fetch-script.ts). */
export function markersOf(text: string | undefined): string {
  return routeMarkers(payloadOf(text));
}
