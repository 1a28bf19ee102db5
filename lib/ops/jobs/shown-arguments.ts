import type { JsonValue } from '../../core/execution-context';
import { REDACTED } from '../../core/redact';
import { dollarKey } from '../../job/record/arguments';
import { escapeControls } from '../../support/terminal-text';
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
  if (
    args.length === 1 &&
    isJsonObject(only) &&
    dollarKey(Object.keys(only)) === undefined &&
    Object.keys(only).length > 0
  )
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
  if (!isJsonObject(value)) return JSON.stringify(value);
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

function isJsonObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
