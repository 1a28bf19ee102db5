import { HIDDEN } from '../../core/argument-filter';
import type { JsonValue } from '../../job/record/json';
import { dollarKey } from '../../job/record/tags';
import { printable } from '../../support/printable';

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
  return { name: name === null ? null : printable(name), text: value === HIDDEN ? null : printable(textOf(value)) };
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
