import type { JsonValue } from '../../core/execution-context';
import type { Redactor, ShownLengths } from '../../core/redact';
import { snakeCase } from '../../support/snake-case';
import type { CronListing } from '../cron/cron-table';
import type { JobClass, JobLookup } from '../definition/job-class';
import { compileOptions } from '../definition/options';
import { type ListedProcess, processName } from '../processes/process-list';
import type { Ending } from '../record/ending';
import type { JobEntry, JobError, SetName } from '../sets/entry';
import type { HeldBy } from '../sets/find-job';
import type { ListedQueue } from './queues';

export interface JobErrorJson {
  /** The error's name, such as `TypeError`; '' when it has none. */
  readonly name: string;
  /** The error's name and message, and those of its causes. */
  readonly message: string;
  /** Message and frames. */
  readonly stack: string;
  /** The run that failed with it; null when that was not recorded. */
  readonly run: {
    readonly at: string;
    readonly attempt: number;
    readonly duration_ms: number | null;
    /** Host and pid. */
    readonly process: string;
  } | null;
}

/**
 * The reason why arguments are redacted: they are encrypted, or the class says so by now; its `logArguments`; an unknown class; no
 * readable record.
 */
export type WhyRedacted = 'encrypted' | 'class' | 'unknown' | 'unreadable';

/** The JSON of a job, for the commands and the pages. Times are ISO 8601; redacted values are null. */
export interface JobJson {
  readonly id: string;
  /** The job name; null when the record has none. */
  readonly class: string | null;
  readonly queue: string;
  readonly set: SetName;
  /** Time of its next run, of its start, of its end, or since when it is due. */
  readonly at: string | null;
  readonly enqueued_at: string | null;
  /** Time from which it leaves without a run; null when it has begun, or does not expire. */
  readonly expires_at: string | null;
  /** Which of the jobs of its queue run first: the smallest. 0 is the default. */
  readonly priority: number;
  /** Number of failed runs. */
  readonly attempts: number;
  readonly args: readonly JsonValue[] | null;
  /** The reason why `args` is null; otherwise null. */
  readonly args_redacted: WhyRedacted | null;
  readonly reason: string | null;
  /** The latest errors, newest first. */
  readonly errors: readonly JobErrorJson[];
  readonly tags: readonly string[];
  readonly request_id: string | null;
  readonly locale: string | null;
  readonly attributes: JsonValue;
  readonly progress: JsonValue;
  /** The reason why the running job was asked to cancel, '' when none was given; null: it was not asked. */
  readonly cancel_requested: string | null;
  readonly unreadable: string | null;
  /** The heap of the thread that its class performs in, MB; null: none, or the class is not known. */
  readonly thread_mb: number | null;
}

export interface JobJsonRules {
  /** The job classes, whose `logArguments` may forbid showing arguments. */
  readonly jobs: JobLookup;
  readonly redactor: Redactor;
}

/** @param lengths limits of what is shown of each value. Default: those for a line. */
export function jobJson(entry: JobEntry, rules: JobJsonRules, lengths?: ShownLengths): JobJson {
  const { requestId, locale, attributes } = entry.context;
  const { redactor } = rules;
  const whyRedacted = argsRedacted(entry, rules);
  const redacted = (value: unknown): JsonValue =>
    value !== undefined ? (redactor.filter([value as JsonValue], lengths)[0] ?? null) : null;
  return {
    id: entry.id,
    class: entry.class ?? null,
    queue: entry.queue,
    set: entry.set,
    at: entry.at?.toISOString() ?? null,
    enqueued_at: entry.enqueuedAt?.toISOString() ?? null,
    expires_at: entry.expiresAt?.toISOString() ?? null,
    priority: entry.priority,
    attempts: entry.attempts,
    args: whyRedacted === null ? redactor.filter(entry.args, lengths) : null,
    args_redacted: whyRedacted,
    reason: entry.reason ?? null,
    errors: entry.errors.map(errorJson),
    tags: entry.tags,
    request_id: requestId ?? null,
    locale: locale ?? null,
    attributes: redacted(attributes),
    progress: redacted(entry.progress),
    cancel_requested: entry.cancelReason ?? null,
    unreadable: entry.unreadable ?? null,
    thread_mb: threadMb(rules.jobs.get(entry.class ?? '')),
  };
}

/** @returns the heap of the thread that a class performs in, MB; null if it has none. */
export function threadMb(jobClass: JobClass | undefined): number | null {
  return (jobClass && compileOptions(jobClass).thread?.memoryMb) ?? null;
}

/** @returns what a held job waits for, in JSON; null for other jobs. The key is null where arguments are not shown. */
export function limitJson(
  { args_redacted: redacted }: Pick<JobJson, 'args_redacted'>,
  held: HeldBy | undefined,
): JsonValue {
  if (!held) return null;
  const { key, usedUntil, ...counts } = held;
  return { ...counts, key: redacted ? null : (key ?? null), used_until: usedUntil?.toISOString() ?? null };
}

/** The JSON of the end of a finished job. Its result is null where arguments are not shown. */
export interface EndingJson {
  readonly result: JsonValue;
  /** Why there is no result, although it may have returned one. */
  readonly result_missing: string | null;
  readonly run: JobErrorJson['run'];
  readonly log: readonly { readonly at: string; readonly text: string; readonly fields: JsonValue }[];
  /** Lines that were not kept. */
  readonly log_left_out: number;
}

/** @returns what is kept of the end of a finished job; null for other jobs. */
export function endingJson(
  { args_redacted: why }: Pick<JobJson, 'args_redacted'>,
  ending: Partial<Ending> | undefined,
  { redactor }: JobJsonRules,
  lengths?: ShownLengths,
): EndingJson | null {
  if (!ending) return null;
  const { run, result, encrypted, lost, log = [], linesLeftOut = 0 } = ending;
  const shown = (value: JsonValue): JsonValue => redactor.filter([value], lengths)[0] ?? null;
  const isHidden = result !== undefined && (encrypted || why !== null);
  return {
    result: result === undefined || isHidden ? null : shown(JSON.parse(result) as JsonValue),
    result_missing: lost ?? (isHidden ? (encrypted ? 'encrypted' : 'not shown, as its arguments') : null),
    run: run ? runJson(run) : null,
    log: log.map(({ at, text, fields }) => ({ at: new Date(at).toISOString(), text, fields: shown(fields ?? null) })),
    log_left_out: linesLeftOut,
  };
}

function argsRedacted(entry: JobEntry, { jobs }: JobJsonRules): WhyRedacted | null {
  if (entry.unreadable !== undefined) return 'unreadable';
  const jobClass = jobs.get(entry.class ?? '');
  if (entry.encrypted || jobClass?.encrypt) return 'encrypted';
  if (!jobClass) return 'unknown';
  return jobClass.logArguments === false ? 'class' : null;
}

function errorJson({ message, stack, run }: JobError): JobErrorJson {
  return { name: nameAndMessage(message).name, message, stack, run: run ? runJson(run) : null };
}

function runJson({ at, attempt, ms, ...process }: NonNullable<JobError['run']>): NonNullable<JobErrorJson['run']> {
  return { at: new Date(at).toISOString(), attempt, duration_ms: ms ?? null, process: processName(process) };
}

/** Prefix of the messages of an error's causes. */
export const CAUSE = 'Caused by: ';
const NAMED = /^([A-Za-z_$][\w$.]*)(?:: |$)/;

/** @param text the error without its frames; the messages of its causes are left out. */
export function nameAndMessage(text: string): { readonly name: string; readonly message: string } {
  const own = text.split(`\n${CAUSE}`, 1)[0] ?? '';
  const name = NAMED.exec(own)?.[1] ?? '';
  return { name, message: name === '' ? own : own.slice(name.length).replace(/^: /, '') };
}

export function processJson({ busyCount, startedAt, heartbeatAgeMs, ...process }: ListedProcess): object {
  return {
    process: processName(process),
    ...(snakeCase(process) as object),
    started_at: new Date(startedAt).toISOString(),
    busy: busyCount,
    heartbeat_age_ms: heartbeatAgeMs,
  };
}

export function queueJson({ next: _, ...queue }: ListedQueue): object {
  return {
    ...(snakeCase(queue) as object),
    paused: snakeCase(queue.paused ?? null),
  };
}

export function cronJson(listed: CronListing): object {
  return snakeCase(listed) as object;
}
