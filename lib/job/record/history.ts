import { withoutPasswords } from '../../core/redact';
import { isCount, isObject, isText, isTexts, isTime } from '../../support/type-guards';

/** Number of errors that are kept, newest first, and the maximum length of each, characters. */
const ERRORS_KEPT = 5;
const MAX_ERROR = 4000;
/** Maximum length of the text of messages that is searched, characters. */
const MAX_SEARCHED = 2000;

/** Time and place of a run that has ended. */
export interface FailedRun {
  /** ms since 1970. */
  readonly at: number;
  /** 1 for the first run. */
  readonly attempt: number;
  /** Duration of the run, ms; absent for one that did not begin. */
  readonly ms?: number | undefined;
  /** The host on which it ran. */
  readonly host: string;
  /** The process in which it ran. */
  readonly pid: number;
}

/** What became of the runs of a job, as `history` of its row. */
export interface JobHistory {
  /** Newest first. One without frames has the frames of the one before it, which saves space for repeated errors. */
  readonly stacktraces?: readonly string[];
  /** The runs whose errors `stacktraces` holds. */
  readonly failures?: readonly FailedRun[];
  /** Failed runs by the key of the `retryOn` rule that matched. */
  readonly attemptsBy?: Readonly<Record<string, number>>;
  /** Time of the first failure by the key of the rule that matched, '' for none: of rules with a `retryFor`. ms since 1970. */
  readonly firstFailedAt?: Readonly<Record<string, number>>;
  /** true: a run has begun and was to be continued, so that the job does not expire. Noted for jobs that may. */
  readonly begun?: boolean;
  /** The reason why it is dead. */
  readonly reason?: string;
}

/** The data that a failure adds besides its error. */
export interface FailureNotes {
  /** Key of the `retryOn` rule that matched. */
  readonly key?: string | undefined;
  readonly deadReason?: string | undefined;
  /** Times of first failures, this one included. */
  readonly firstFailedAt?: JobHistory['firstFailedAt'] | undefined;
  readonly run?: FailedRun | undefined;
}

/** The history after one more failed run. */
export function failedHistory(history: JobHistory, error: Error, notes: FailureNotes): JobHistory {
  const { key, deadReason, run, firstFailedAt } = notes;
  const { attemptsBy = {}, stacktraces, failures = [] } = history;
  return {
    ...history,
    stacktraces: newestFirst(storable(fullTrace(error)), stacktraces),
    ...(run && { failures: [run, ...failures].slice(0, ERRORS_KEPT) }),
    ...(key !== undefined && { attemptsBy: { ...attemptsBy, [key]: (attemptsBy[key] ?? 0) + 1 } }),
    ...(firstFailedAt && { firstFailedAt }),
    ...(deadReason !== undefined && { reason: storable(withoutPasswords(String(deadReason)).slice(0, MAX_ERROR)) }),
  };
}

/**
 * The history of a job that returns to its queue although it has begun, as a part of its outcome.
 * @returns nothing when that need not be noted, since the job cannot expire.
 */
export function begunHistory(row: { readonly payload: string; readonly history: string | null }): {
  readonly history?: string;
} {
  if (!row.payload.includes('"expiresInMs"')) return {};
  return { history: JSON.stringify({ ...readHistory(row.history), begun: true }) };
}

/** What is written beside a history, so that operators can filter by it: the latest error's name, and all messages. */
export function searchedErrors({ reason, stacktraces = [] }: JobHistory): { error: string; messages: string } {
  const messages = [...new Set([...(reason === undefined ? [] : [reason]), ...stacktraces.map(withoutFrames)])];
  return {
    error: /^[\w$.]{1,100}/.exec(stacktraces[0] ?? '')?.[0] ?? '',
    messages: storable(messages.join('\n').toLowerCase().slice(0, MAX_SEARCHED)),
  };
}

/** Fields of a wrong type count as absent: anybody with access to Postgres can write nonsense. */
export function readHistory(text: string | null): JobHistory {
  if (text === null) return {};
  const fields = JSON.parse(text) as unknown;
  if (!isObject(fields)) return {};
  const { stacktraces, failures, attemptsBy, firstFailedAt, begun, reason } = fields as Partial<
    Record<keyof JobHistory, unknown>
  >;
  return {
    ...(isTexts(stacktraces) && { stacktraces }),
    ...(Array.isArray(failures) && failures.every(isFailedRun) && { failures }),
    ...(isObject(attemptsBy) &&
      Object.values(attemptsBy).every(isCount) && { attemptsBy: attemptsBy as Record<string, number> }),
    ...(isObject(firstFailedAt) &&
      Object.values(firstFailedAt).every(isTime) && { firstFailedAt: firstFailedAt as Record<string, number> }),
    ...(begun === true && { begun }),
    ...(isText(reason) && { reason }),
  };
}

export function isFailedRun(value: unknown): value is FailedRun {
  const { at, attempt, host, pid } = (value ?? {}) as Partial<FailedRun>;
  return isTime(at) && isCount(attempt) && isText(host) && isCount(pid);
}

/** Replaces NUL and halves of surrogate pairs, which Postgres cannot store. */
export function storable(text: string): string {
  return text.replace(/[\0\p{Surrogate}]/gu, '\ufffd');
}

function newestFirst(newest: string, older: readonly string[] = []): readonly string[] {
  const [previous, ...others] = older;
  if (previous === undefined) return [newest];
  // Repeated frames would make up most of a history.
  const repeated = findFrames(previous).join('') === findFrames(newest).join('');
  return [newest, repeated ? previous.replace(FRAME, '') : previous, ...others].slice(0, ERRORS_KEPT);
}

const FRAME = /\n {4}at [^\n]*/g;

/** An error without its frames: what it says, and what its causes say. */
export function withoutFrames(trace: string): string {
  return trace.replace(FRAME, '');
}

function findFrames(trace: string): readonly string[] {
  return trace.match(FRAME) ?? [];
}

/** The stack of the error and of its cause, without passwords: the cause of a timeout says more than the timeout. */
function fullTrace(error: Error): string {
  const own = String(error.stack || error);
  const { cause } = error;
  const text = cause instanceof Error ? `${own}\nCaused by: ${cause.stack || cause}` : own;
  return withoutPasswords(text).slice(0, MAX_ERROR);
}
