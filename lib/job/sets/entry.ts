import type { JsonValue } from '../../core/execution-context';
import { toError } from '../../support/to-error';
import type { CarriedContext } from '../definition/job-class';
import { type FailedRun, type JobHistory, readHistory, withoutFrames } from '../record/history';
import { parsePayload } from '../record/payload';

/**
 * The places that a job may be in. `blocked`: it waits for the limit of its class or key, or, with a priority above 0, until
 * nothing else of its queue waits. `finished`: it is done, and was kept.
 */
export type SetName = 'waiting' | 'active' | 'blocked' | 'retry' | 'scheduled' | 'dead' | 'finished';

/** An error of a job. */
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
  /** Its id. */
  readonly id: string;
  /** The queue that it is, or was, in. */
  readonly queue: string;
  /** Where it is. */
  readonly set: SetName;
  /** The job name; undefined when the record has none. */
  readonly class: string | undefined;
  /** Serialized arguments: dates, models and the like are in their tagged form. */
  readonly args: readonly JsonValue[];
  /** true: its arguments are encrypted, and `args` is empty. */
  readonly encrypted: boolean;
  /** Time of its next run (retry, scheduled), of its start (active), of its end (dead, finished), or since when it is due. */
  readonly at: Date | undefined;
  /** The time at which it was enqueued. */
  readonly enqueuedAt: Date | undefined;
  /** Time from which it leaves without a run; undefined when it has begun, or does not expire. */
  readonly expiresAt: Date | undefined;
  /** Identity of the processor that runs it; null unless it is active. */
  readonly identity: string | null;
  /** Which of the jobs of its queue run first: the smallest. 0 is the default. */
  readonly priority: number;
  /** Number of failed runs. */
  readonly attempts: number;
  /** The latest five errors, newest first. */
  readonly errors: readonly JobError[];
  /** The reason why it died. */
  readonly reason: string | undefined;
  /** Its tags. */
  readonly tags: readonly string[];
  /** Context of the code that enqueued it. */
  readonly context: CarriedContext;
  /** The value that its run last passed to `progress()`. */
  readonly progress: unknown;
  /** It runs and was asked to cancel, for this reason; '' when none was given. */
  readonly cancelReason: string | undefined;
  /** The reason why the record cannot be read, in whole or in part; undefined when it can. */
  readonly unreadable: string | undefined;
  /** The record's text; undefined when it is readable or missing. */
  readonly raw: string | undefined;
}

const NOT_BEGUN: readonly SetName[] = ['waiting', 'blocked', 'scheduled'];

/** The row of a job, as a set reads it. */
export interface EntryRow {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  readonly tags: readonly string[];
  readonly priority: number;
  readonly attempts: number;
  readonly history: string | null;
  readonly progress: string | null;
  readonly cancelReason: string | null;
  /** The job's time in the set, ms since 1970. */
  readonly at: number;
  readonly identity: string | null;
  /** null: it is too long for a list. */
  readonly payload: string | null;
  /** The text of an `Ending`; only of a finished job that is looked at by itself. */
  readonly ending?: string | null;
  /** The length of the payload. */
  readonly bytes: number;
}

/** Describes a job by its row. Never throws: a payload that cannot be read gives an entry with `unreadable`. */
export function describeRow(set: SetName, row: EntryRow): JobEntry {
  const { id, queue, class: name, tags, priority, attempts, at, identity, payload, bytes } = row;
  const history = readHistory(row.history);
  const known = {
    id,
    queue,
    set,
    class: name,
    at: toDate(at),
    identity,
    priority,
    attempts,
    errors: describeErrors(history),
    reason: history.reason,
    progress: row.progress === null ? undefined : (JSON.parse(row.progress) as unknown),
    cancelReason: row.cancelReason ?? undefined,
    tags,
  };
  const nothing = {
    args: [],
    encrypted: false,
    enqueuedAt: undefined,
    expiresAt: undefined,
    context: {},
    raw: undefined,
  };
  if (payload === null)
    return { ...known, ...nothing, args: [`(${Math.round(bytes / 1024)} kB)`], unreadable: undefined };
  try {
    const { args, encrypted, enqueuedAt, attrs: context, expiresInMs } = parsePayload(payload);
    const canExpire = expiresInMs !== undefined && attempts === 0 && !history.begun && NOT_BEGUN.includes(set);
    const expiresAt = canExpire ? toDate(at + expiresInMs) : undefined;
    return {
      ...known,
      args,
      encrypted: encrypted !== undefined,
      enqueuedAt: toDate(enqueuedAt),
      expiresAt,
      context,
      unreadable: undefined,
      raw: undefined,
    };
  } catch (thrown) {
    return { ...known, ...nothing, unreadable: toError(thrown).message, raw: payload };
  }
}

function describeErrors({ stacktraces = [], failures = [] }: JobHistory): JobError[] {
  return stacktraces.map((stack, index) => ({
    message: withoutFrames(stack),
    stack,
    run: failures[index],
  }));
}

function toDate(ms: number): Date | undefined {
  const date = new Date(ms || Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
