import type { ArgumentFilter, ShownLengths } from '../../core/argument-filter';
import type { JobClass } from '../../job/job-class';
import type { JsonValue } from '../../job/record/json';
import type { JobEntry, JobError } from '../../job/set/entry';
import { checkRef, type JobRef } from '../../job/set/reference';
import { KILLED } from '../../job/set/rewrites';
import { argumentLine, type ShownArgument, shownArguments } from './argument-text';
import { jobPath } from './job-path';
import { essence, nameAndMessage, type ShownError, type StackLine, stackLines } from './stack-frames';

/** A job as pages and JSON show it: what is to be hidden is not in it. */
export interface ShownJob {
  readonly id: string;
  readonly queue: string;
  readonly set: JobEntry['set'];
  /** null when the record does not tell. */
  readonly class: string | null;
  /** Its page. */
  readonly href: string;
  /** For the forms of lists. */
  readonly ref: string;
  /** When it died, will run, or was put on its queue. */
  readonly at: Date | null;
  readonly enqueuedAt: Date | null;
  /** Runs that have failed. */
  readonly attempts: number;
  /** null: they are not shown, for the reason in `argsHidden`. */
  readonly args: readonly ShownArgument[] | null;
  /** As many as fit into a line. */
  readonly argsLine: readonly ShownArgument[] | null;
  readonly argsHidden: 'viewer' | 'class' | 'unknown' | 'unreadable' | null;
  /** The latest; null when there is none. */
  readonly error: ShownError | null;
  readonly killed: boolean;
  readonly tags: readonly string[];
  readonly requestId: string | null;
}

/** An error of the job, for its own page. `message` is null where it is hidden. */
export interface ShownFailure {
  readonly name: string;
  readonly message: string | null;
  readonly frames: readonly StackLine[];
  /** Of the frames what one mostly looks for; null: that is all of them. */
  readonly essence: readonly StackLine[] | null;
  readonly run: JobError['run'] | null;
}

export interface ShowRules {
  /** May it see arguments, and what else may name people? */
  readonly everything: boolean;
  readonly classOf: (name: string) => JobClass | undefined;
  readonly filter: ArgumentFilter;
}

/** @param lengths how much of each argument is shown. Default: as much as belongs into a line. */
export function showJob(entry: JobEntry, rules: ShowRules, lengths?: ShownLengths): ShownJob {
  const { id, queue, set, attempts, tags } = entry;
  const argsHidden = whyHidden(entry, rules);
  const args = argsHidden === null ? shownArguments(rules.filter.filter(entry.args, lengths)) : null;
  return {
    id,
    queue,
    set,
    class: entry.class ?? null,
    href: jobPath(entry),
    ref: `${queue}/${id}`,
    at: entry.at ?? null,
    enqueuedAt: entry.enqueuedAt ?? null,
    attempts,
    args,
    argsLine: args && argumentLine(args),
    argsHidden,
    error: latestError(entry, rules),
    killed: entry.reason === KILLED,
    tags,
    requestId: entry.context.requestId ?? null,
  };
}

/** The newest first. */
export function showFailures({ errors }: JobEntry, { everything }: ShowRules): ShownFailure[] {
  return errors.map(({ message, stack, run }) => {
    const named = nameAndMessage(message);
    const frames = stackLines(stack).filter((line) => everything || line.kind !== 'cause');
    return {
      name: named.name,
      message: everything ? named.message : null,
      frames,
      essence: essence(frames) ?? null,
      run: run ?? null,
    };
  });
}

/** What else the app has attached, by name, with what its filters name hidden; null where one may not see it. */
export function showValues(
  value: unknown,
  { everything, filter }: ShowRules,
  lengths?: ShownLengths,
): readonly ShownArgument[] | null {
  return everything ? shownArguments(filter.filter([value as JsonValue], lengths)) : null;
}

/** From the forms of lists; undefined for what is none. */
export function readRef(text: string): Exclude<JobRef, string> | undefined {
  const at = text.indexOf('/');
  const ref = { queue: text.slice(0, Math.max(0, at)), id: text.slice(at + 1) };
  return isRef(ref) ? ref : undefined;
}

export function isRef(ref: Exclude<JobRef, string>): boolean {
  try {
    checkRef(ref);
    return true;
  } catch {
    return false;
  }
}

function whyHidden(entry: JobEntry, { everything, classOf }: ShowRules): ShownJob['argsHidden'] {
  if (!everything) return 'viewer';
  if (entry.unreadable !== undefined) return 'unreadable';
  const jobClass = classOf(entry.class ?? '');
  if (!jobClass) return 'unknown';
  return jobClass.logArguments === false ? 'class' : null;
}

function latestError({ errors, reason, unreadable }: JobEntry, { everything }: ShowRules): ShownError | null {
  const text = errors[0]?.message ?? (reason === KILLED ? undefined : reason) ?? unreadable;
  if (text === undefined) return null;
  const { name, message } = nameAndMessage(text);
  return { name, message: everything ? (message.split('\n', 1)[0] ?? '').slice(0, 300) : '' };
}
