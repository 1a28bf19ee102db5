import { type Payload, readPayload, roadTraces } from '../record/payload';
import { type JobRecord, readRecord, revivedRecord } from '../record/record';

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

/** Of a dead job that lives again. @param durable it has a row in the outbox, which its end must delete. */
export function revived(record: JobRecord, durable: boolean): JobRecord {
  const data = durable ? durableData(record.data) : record.data;
  return queuedRecord(revivedRecord({ ...record, data }));
}

/** What a job's row in the outbox holds, and then its record: its keys stay in their order. */
export function durableData(data: unknown): object {
  return { ...(data as object), via: 'outbox' };
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

/** As `filter-lua.ts` tells it. */
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

/** What the job's end leaves behind (adapter/fused-script.ts). */
export function tracesOf(text: string | undefined): string {
  return roadTraces(payloadOf(text));
}
