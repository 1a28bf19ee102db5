import path from 'node:path';
import type { JsonValue } from '../../core/execution-context';
import { REDACTED, type ShownLengths } from '../../core/redact';
import { CAUSE, type JobJson, type JobJsonRules, jobJson, nameAndMessage } from '../../job/admin/job-json';
import { dollarKey } from '../../job/record/arguments';
import { type JobEntry, type JobError, KILLED } from '../../job/sets/entry';
import { isRef, type JobRef } from '../../job/sets/query';
import { escapeControls } from '../../support/text';
import { jobPath } from '../ui/format';

/** A job as pages show it: what programs read of it, and what pages add. */
export interface JobView {
  readonly json: JobJson;
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
  readonly argsHidden: JobJson['args_redacted'];
  /** The latest; null when there is none. */
  readonly error: ReturnType<typeof nameAndMessage> | null;
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

/** @param lengths how much of each argument is shown. Default: as much as belongs into a line. */
export function showJob(entry: JobEntry, rules: JobJsonRules, lengths?: ShownLengths): JobView {
  const { id, queue, set, attempts, tags } = entry;
  const json = jobJson(entry, rules, lengths);
  const args = json.args && shownArguments(json.args);
  return {
    json,
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
    argsHidden: json.args_redacted,
    error: latestError(entry, rules),
    killed: entry.reason === KILLED,
    tags,
    requestId: entry.context.requestId ?? null,
  };
}

/** The job as programs read it from the pages: where its page is, besides. */
export function pageJson({ json, href }: JobView): JobJson & { readonly href: string } {
  return { ...json, href };
}

/** The newest first. */
export function showFailures({ errors }: JobEntry, { everything }: JobJsonRules): ShownFailure[] {
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
  { everything, redactor }: JobJsonRules,
  lengths?: ShownLengths,
): readonly ShownArgument[] | null {
  return everything ? shownArguments(redactor.filter([value as JsonValue], lengths)) : null;
}

/** From the forms of lists; undefined for what is none. */
export function readRef(text: string): Exclude<JobRef, string> | undefined {
  const at = text.indexOf('/');
  const ref = { queue: text.slice(0, Math.max(0, at)), id: text.slice(at + 1) };
  return isRef(ref) ? ref : undefined;
}

function latestError({ errors, reason, unreadable }: JobEntry, { everything }: JobJsonRules): JobView['error'] {
  const text = errors[0]?.message ?? (reason === KILLED ? undefined : reason) ?? unreadable;
  if (text === undefined) return null;
  const { name, message } = nameAndMessage(text);
  return { name, message: everything ? (message.split('\n', 1)[0] ?? '').slice(0, 300) : '' };
}

/** One argument, or one key of the only one, as pages show it. */
export interface ShownArgument {
  /** Its key; null of an argument that has a place only. */
  readonly name: string | null;
  /** null: it is hidden. */
  readonly text: string | null;
}

/** What a list shows of the arguments of one job, in characters. */
const LINE_LENGTH = 400;

/** @param args as they travel, filtered. */
export function shownArguments(args: readonly JsonValue[]): ShownArgument[] {
  const [only] = args;
  if (args.length === 1 && isObject(only) && dollarKey(Object.keys(only)) === undefined && Object.keys(only).length > 0)
    return Object.entries(only).map(([name, value]) => shown(name, value));
  return args.map((value) => shown(null, value));
}

/** As many as fit into a line. */
export function argumentLine(args: readonly ShownArgument[]): ShownArgument[] {
  const line: ShownArgument[] = [];
  let room = LINE_LENGTH;
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
    text: value === REDACTED ? null : escapeControls(textOf(value)),
  };
}

/** JSON with spaces, and what JSON has no form for by its name: a date, a bigint, a model. */
function textOf(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value);
  const key = dollarKey(keys);
  const special = key === undefined ? undefined : taggedText(key, value[key] as JsonValue);
  return special ?? `{${keys.map((each) => `${each}: ${textOf(value[each] as JsonValue)}`).join(', ')}}`;
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
      return typeof name === 'string' && inner !== undefined ? `${name} ${textOf(inner)}` : undefined;
    default:
      return undefined;
  }
}

function isObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A line of a stack trace. */
export interface StackLine {
  readonly text: string;
  /** `own`: the app's code. `library`: of a package, of Node or of Catamount. `cause`: the message of what caused it. */
  readonly kind: 'own' | 'library' | 'cause';
}

/** Shown in a row before one asks for more. */
const LIBRARY_FRAMES = 2;

/** The frames, and the causes between them. @param stack as the record has it. */
export function stackLines(stack: string): StackLine[] {
  const lines: StackLine[] = [];
  let within: 'message' | 'frames' | 'cause' = 'message';
  for (const line of stack.split('\n')) {
    if (line.startsWith(CAUSE)) {
      within = 'cause';
      lines.push({ text: line.slice(CAUSE.length), kind: 'cause' });
    } else if (/^ {4}at /.test(line)) {
      within = 'frames';
      lines.push({ text: shortened(line), kind: isOwn(line) ? 'own' : 'library' });
    } else if (within !== 'message') {
      // Of a message in several lines, or of the properties that Node shows behind frames.
      lines.push({ text: line, kind: within === 'cause' ? 'cause' : 'library' });
    }
  }
  return lines;
}

/** What one mostly looks for: of libraries' frames in a row only the first ones. @returns undefined: that is all of it. */
export function essence(lines: readonly StackLine[]): StackLine[] | undefined {
  let inRow = 0;
  const kept = lines.filter(({ kind }) => {
    inRow = kind === 'library' ? inRow + 1 : 0;
    return inRow <= LIBRARY_FRAMES;
  });
  return kept.length + 1 < lines.length ? kept : undefined;
}

/** Catamount's own code, as it runs and as source maps tell of it; the sample app beside it is none of it. */
const LIB = path.resolve(__dirname, '../..');
const OURS = [LIB, LIB.replace(/([\\/])dist[\\/]lib$/, '$1lib')].map((folder) => folder + path.sep);
const HERE = process.cwd() + path.sep;

function isOwn(frame: string): boolean {
  if (/\(?node:|[\\/]node_modules[\\/]|<anonymous>\)?$/.test(frame)) return false;
  return !OURS.some((folder) => frame.includes(folder) && !frame.includes(`${folder}app${path.sep}`));
}

/** Files as one knows them: from the folder that the app was started in. */
function shortened(frame: string): string {
  return frame.trim().replace('file://', '').replace(HERE, '');
}
