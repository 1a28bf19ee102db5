import type { JsonValue } from '../../core/execution-context';
import type { ShownLengths } from '../../core/redact';
import { type JobJson, type JobJsonRules, jobJson, nameAndMessage } from '../../job/admin/job-json';
import { KILLED } from '../../job/row/dead';
import type { JobEntry, JobError } from '../../job/sets/entry';
import { jobPath } from '../ui/format';
import { argumentLine, type ShownArgument, shownArguments } from './shown-arguments';
import { type StackLine, stackLines, withoutLibraryFrames } from './stack-lines';

/** A job as pages show it: the job, its JSON form and the values that only pages need. */
export interface JobView extends Omit<JobEntry, 'args'> {
  readonly json: JobJson;
  readonly href: string;
  /** `queue/id`, the value of the forms of lists. */
  readonly ref: string;
  /** null when they are hidden, for the reason in `argsHidden`. */
  readonly args: readonly ShownArgument[] | null;
  readonly argsLine: readonly ShownArgument[] | null;
  readonly argsHidden: JobJson['args_redacted'];
  /** The latest error; null when there is none. */
  readonly error: ReturnType<typeof nameAndMessage> | null;
  readonly killed: boolean;
}

/** An error of the job, for its own page. */
export interface ShownFailure {
  readonly name: string;
  readonly message: string;
  readonly frames: readonly StackLine[];
  /** The frames without most library frames; null when none can be left out. */
  readonly essence: readonly StackLine[] | null;
  readonly run: JobError['run'] | null;
}

/** @param lengths limits of the shown arguments. Default: those for a line. */
export function showJob(entry: JobEntry, rules: JobJsonRules, lengths?: ShownLengths): JobView {
  const json = jobJson(entry, rules, lengths);
  const args = json.args && shownArguments(json.args);
  return {
    ...entry,
    json,
    href: jobPath(entry),
    ref: `${entry.queue}/${entry.id}`,
    args,
    argsLine: args && argumentLine(args),
    argsHidden: json.args_redacted,
    error: latestError(entry),
    killed: entry.reason === KILLED,
  };
}

export function pageJson({ json, href }: JobView): JobJson & { readonly href: string } {
  return { ...json, href };
}

export function showFailures({ errors }: JobEntry): ShownFailure[] {
  return errors.map(({ message, stack, run }) => {
    const named = nameAndMessage(message);
    const frames = stackLines(stack);
    return {
      name: named.name,
      message: named.message,
      frames,
      essence: withoutLibraryFrames(frames) ?? null,
      run: run ?? null,
    };
  });
}

/** Further values attached by the app, redacted by its filters. */
export function showValues(
  value: unknown,
  { redactor }: JobJsonRules,
  lengths?: ShownLengths,
): readonly ShownArgument[] {
  return shownArguments(redactor.filter([value as JsonValue], lengths));
}

function latestError({ errors, reason, unreadable }: JobEntry): JobView['error'] {
  const text = errors[0]?.message ?? (reason === KILLED ? undefined : reason) ?? unreadable;
  if (text === undefined) return null;
  const { name, message } = nameAndMessage(text);
  return { name, message: (message.split('\n', 1)[0] ?? '').slice(0, 300) };
}
