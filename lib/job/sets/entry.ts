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

/** Where a job may be. `blocked`: it waits for its class's limit. */
export type SetName = 'waiting' | 'active' | 'blocked' | 'retry' | 'scheduled' | 'dead';

export interface JobError {
  /** With the error's name, and the messages of what caused it. */
  readonly message: string;
  /** Message and frames, as far as they were kept: of errors that repeat themselves the newest has them. */
  readonly stack: string;
  /** Of the run that failed with it; undefined where nobody noted that. */
  readonly run: FailedRun | undefined;
}

/** A job as operators see it, wherever it is. */
export interface JobEntry {
  readonly id: string;
  readonly queue: string;
  readonly set: SetName;
  /** The job name; undefined when the record does not tell. */
  readonly class: string | undefined;
  /** As they travel: dates, models and the like in their tagged form. */
  readonly args: readonly JsonValue[];
  /** When it will run (retry, scheduled), died (dead), or was put on its queue; undefined when nobody noted that. */
  readonly at: Date | undefined;
  readonly enqueuedAt: Date | undefined;
  /** Runs that have failed. */
  readonly attempts: number;
  /** Newest first, the latest five. */
  readonly errors: readonly JobError[];
  /** Why it is dead. */
  readonly reason: string | undefined;
  readonly tags: readonly string[];
  /** Of the code that enqueued it. */
  readonly context: CarriedContext;
  /** What its run noted last with `progress()`. */
  readonly progress: unknown;
  /** Why the record cannot be read, in whole or in part; undefined when it can. */
  readonly unreadable: string | undefined;
  /** The record's text, when it is unreadable. */
  readonly raw: string | undefined;
}

interface EntrySource {
  readonly id: string;
  readonly queue: string;
  readonly set: SetName;
  readonly at: Date | undefined;
  /** The record's text; undefined when there is none. */
  readonly text: string | undefined;
  /** JSON, as a run noted it. */
  readonly progress?: string | undefined;
}

/** Never throws: what cannot be read is `unreadable`. */
export function describeJob(source: EntrySource): JobEntry {
  const { id, queue, set, text } = source;
  // Of a score that is no time there is none.
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

/** A row of the outbox that Redis does not know yet. Never throws. */
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

/** @returns the record's new text; undefined when it cannot be read: it stays as it is then. */
export function rewritten(text: string | undefined, rewrite: Rewrite | undefined): string | undefined {
  if (text === undefined || !rewrite) return undefined;
  try {
    return JSON.stringify(rewrite(readRecord(text)));
  } catch {
    return undefined;
  }
}

/** Of a job that is put on its queue now: how long it waits there is counted from here. */
export function queuedRecord(record: JobRecord, now = Date.now()): JobRecord {
  const { dueAt: _, ...options } = record.options;
  return { ...record, options: { ...options, timestamp: now } };
}

/** Of a job that is to run at another time: how long it waits is counted from then. */
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

/** As `filter-script.ts` tells it. */
export function isRetrying(text: string | undefined): boolean {
  try {
    return text !== undefined && readRecord(text).status === 'retrying';
  } catch {
    return false;
  }
}

/** When it was put on its queue, ms since 1970; 0 when that is unknown. */
export function queuedAt(text: string | undefined): number {
  try {
    return (text !== undefined && Number(readRecord(text).options.timestamp)) || 0;
  } catch {
    return 0;
  }
}

/** What the job's end leaves behind (fetch/fetch-script.ts). */
export function markersOf(text: string | undefined): string {
  return routeMarkers(payloadOf(text));
}
