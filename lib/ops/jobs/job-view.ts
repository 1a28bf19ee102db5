import type { JsonValue } from '../../core/execution-context';
import { REDACTED, type ShownLengths } from '../../core/redact';
import { type JobJson, type JobJsonRules, jobJson, nameAndMessage } from '../../job/admin/job-json';
import { dollarKey } from '../../job/record/arguments';
import { KILLED } from '../../job/row/dead';
import type { JobEntry, JobError } from '../../job/sets/entry';
import { escapeControls } from '../../support/terminal-text';
import { jobPath } from '../ui/format';
import { essence, type StackLine, stackLines } from './stack-lines';

/** A job as pages show it: the job, its JSON form and the values that only pages need. */
export interface JobView extends Omit<JobEntry, 'args'> {
  readonly json: JobJson;
  /** Path of its page. */
  readonly href: string;
  /** `queue/id`, the value of the forms of lists. */
  readonly ref: string;
  /** null when they are hidden, for the reason in `argsHidden`. */
  readonly args: readonly ShownArgument[] | null;
  /** The first arguments, cut to MAX_LINE_LENGTH characters in total. */
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

/** JSON of the job with the path of its page. */
export function pageJson({ json, href }: JobView): JobJson & { readonly href: string } {
  return { ...json, href };
}

/** The job's errors, the newest first. */
export function showFailures({ errors }: JobEntry): ShownFailure[] {
  return errors.map(({ message, stack, run }) => {
    const named = nameAndMessage(message);
    const frames = stackLines(stack);
    return {
      name: named.name,
      message: named.message,
      frames,
      essence: essence(frames) ?? null,
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

/** One argument of a job, or one key of its only argument. */
export interface ShownArgument {
  /** The key; null for a positional argument. */
  readonly name: string | null;
  /** null when it is hidden. */
  readonly text: string | null;
}

/** Maximum number of characters of one job's arguments in a list. */
const MAX_LINE_LENGTH = 400;

/** @param args in their serialised form, redacted. */
export function shownArguments(args: readonly JsonValue[]): ShownArgument[] {
  const [only] = args;
  if (args.length === 1 && isObject(only) && dollarKey(Object.keys(only)) === undefined && Object.keys(only).length > 0)
    return Object.entries(only).map(([name, value]) => shown(name, value));
  return args.map((value) => shown(null, value));
}

/** The first arguments, cut to MAX_LINE_LENGTH characters in total. */
export function argumentLine(args: readonly ShownArgument[]): ShownArgument[] {
  const line: ShownArgument[] = [];
  let room = MAX_LINE_LENGTH;
  for (const { name, text } of args) {
    if (room <= 0) break;
    line.push({ name, text: text === null || text.length <= room ? text : `${text.slice(0, room)}…` });
    room -= (name?.length ?? 0) + (text?.length ?? 0) + 4;
  }
  return line;
}

function shown(name: string | null, value: JsonValue): ShownArgument {
  return {
    name: name === null ? null : escapeControls(name),
    text: value === REDACTED ? null : escapeControls(formatValue(value)),
  };
}

/** JSON with spaces. Values without a form in JSON, such as dates, bigints and models, are shown by name. */
function formatValue(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(formatValue).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value);
  const key = dollarKey(keys);
  const special = key === undefined ? undefined : taggedText(key, value[key] as JsonValue);
  return special ?? `{${keys.map((each) => `${each}: ${formatValue(value[each] as JsonValue)}`).join(', ')}}`;
}

function taggedText(key: string, content: JsonValue): string | undefined {
  const [name, inner] = Array.isArray(content) ? content : [];
  switch (key) {
    case '$date':
    case '$number':
      return String(content);
    case '$bigint':
      return `${String(content)}n`;
    case '$model':
    case '$value':
      return typeof name === 'string' && inner !== undefined ? `${name} ${formatValue(inner)}` : undefined;
    default:
      return undefined;
  }
}

function isObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
