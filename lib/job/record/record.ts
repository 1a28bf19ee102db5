import { UnreadableJobError } from './payload';

/** How many errors a record keeps, newest first, and how long each may be. */
const ERRORS_KEPT = 5;
const ERROR_LENGTH = 4000;

/** A job as bee-queue keeps it in `bq:<queue>:jobs`. `attempts` and `reason` are ours; bee-queue carries them along. */
export interface JobRecord {
  readonly data: unknown;
  readonly options: {
    /** When it was created, ms since 1970. */
    readonly timestamp?: number;
    readonly stacktraces?: readonly string[];
    /** Runs that have failed. */
    readonly attempts?: number;
    /** Why it is dead. */
    readonly reason?: string;
  };
  readonly status: string;
  readonly progress: unknown;
}

/** The text of a fresh record, around a payload that is JSON already. */
export function newRecord(payloadJson: string, now: number = Date.now()): string {
  return `{"data":${payloadJson},"options":{"timestamp":${now},"stacktraces":[]},"status":"created","progress":0}`;
}

/** @throws UnreadableJobError when the text is no record. */
export function readRecord(text: string): JobRecord {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new UnreadableJobError('the record is not JSON', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null) throw new UnreadableJobError('the record is no object');
  const { data, options, status, progress } = parsed as Partial<JobRecord>;
  const given = typeof options === 'object' && options !== null ? options : {};
  return { data, options: given, status: status ?? 'created', progress: progress ?? 0 };
}

/** The record after one more failed run; `retrying`, or `failed` with the reason when it is dead. */
export function failedRecord(record: JobRecord, error: Error, deadReason?: string): JobRecord {
  const { options } = record;
  const trace = String(error.stack || error).slice(0, ERROR_LENGTH);
  return {
    ...record,
    options: {
      ...options,
      attempts: (options.attempts ?? 0) + 1,
      stacktraces: [trace, ...(options.stacktraces ?? [])].slice(0, ERRORS_KEPT),
      ...(deadReason !== undefined && { reason: deadReason.slice(0, ERROR_LENGTH) }),
    },
    status: deadReason === undefined ? 'retrying' : 'failed',
  };
}

/** The record of a dead job that gets all its attempts anew. Its errors stay readable. */
export function revivedRecord(record: JobRecord): JobRecord {
  const { reason: _, ...options } = record.options;
  return { ...record, options: { ...options, attempts: 0 }, status: 'created' };
}
