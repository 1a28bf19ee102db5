import pino from 'pino';
import type { Events } from './events';
import type { Attributes, JsonValue } from './execution-context';
import { REDACTED, Redactor } from './redact';

/** Bounds of an error's own fields: levels, parts of an object or a list, and values in total. */
const MAX = { levels: 5, parts: 50, values: 500 };

/**
 * Redacts attributes and errors for the log by the rules for arguments (redact.ts): values of sensitive keys are
 * hidden. Keys of the app's job setup are added at `setup.loaded`.
 */
export class LogFilter {
  private filter = new Redactor();

  constructor(events?: Pick<Events, 'on'>) {
    events?.on('setup.loaded', ({ filterArguments }) => {
      this.filter = new Redactor(filterArguments);
    });
  }

  attributes(attributes: Attributes): JsonValue {
    return this.shown(attributes);
  }

  /** Serializes an error as pino does, with redacted fields. */
  error(error: Error): Record<string, unknown> {
    return this.errorAt(error, { left: MAX.values, above: [] });
  }

  private errorAt(error: Error, walk: Walk): Record<string, unknown> {
    const { type, message, stack, aggregateErrors, ...fields } = pino.stdSerializers.err(error);
    const serialized: Record<string, unknown> = { type, message, stack };
    if (aggregateErrors)
      serialized.aggregateErrors = aggregateErrors
        .slice(0, MAX.parts)
        .map((each: Serialized) => this.errorAt(each.raw, walk));
    const own = isOfPostgres(fields) ? withoutData(fields) : fields;
    for (const [key, value] of Object.entries(own)) {
      // pino has serialized nested errors already, but without redaction.
      if (isSerialized(value)) serialized[key] = this.errorAt(value.raw, walk);
      else {
        const shown = this.shown({ [key]: plain(value, walk) }) as Readonly<Record<string, JsonValue>>;
        Object.assign(serialized, shown);
      }
    }
    return serialized;
  }

  private shown(value: JsonValue): JsonValue {
    return this.filter.filter([value])[0] ?? null;
  }
}

/** The number of values that may still be written, and the objects that contain the current one. */
interface Walk {
  left: number;
  readonly above: readonly object[];
}

/** Converts any value to bounded JSON, since clients' errors contain sockets, requests and cyclic references. */
function plain(value: unknown, walk: Walk): JsonValue {
  if (walk.left-- <= 0) return '…';
  if (value === null || value === undefined || typeof value === 'function') return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value !== 'object') return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  const prototype: unknown = Object.getPrototypeOf(value);
  const known = Array.isArray(value) || prototype === null || prototype === Object.prototype;
  if (!known || walk.above.includes(value) || walk.above.length >= MAX.levels) return `[${className(value)}]`;
  const below = { left: walk.left, above: [...walk.above, value] };
  const shown = Array.isArray(value)
    ? value.slice(0, MAX.parts).map((item) => plain(item, below))
    : Object.fromEntries(
        Object.entries(value)
          .slice(0, MAX.parts)
          .map(([key, part]): [string, JsonValue] => [key, plain(part, below)]),
      );
  walk.left = below.left;
  return shown;
}

function className(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'object';
}

type Serialized = { readonly raw: Error };

function isSerialized(value: unknown): value is Serialized {
  return (
    typeof value === 'object' && value !== null && 'raw' in value && value.raw instanceof Error && 'stack' in value
  );
}

type Fields = Readonly<Record<string, unknown>>;

function isOfPostgres(fields: Fields): boolean {
  return typeof fields.severity === 'string' && typeof fields.code === 'string' && /^[0-9A-Z]{5}$/.test(fields.code);
}

/** Hides data of rows and statements in Postgres's fields, but not the place of the error. */
function withoutData(fields: Fields): Fields {
  const { detail, where, internalQuery, ...others } = fields;
  return {
    ...others,
    ...(typeof detail === 'string' && { detail: withoutValues(detail) }),
    ...(typeof where === 'string' && { where: where.split('\n').map(placeOnly).join('\n') }),
    ...(internalQuery !== undefined && { internalQuery: REDACTED }),
  };
}

function withoutValues(detail: string): string {
  if (/^Process \d+ waits for /.test(detail)) return detail;
  const [, columns, what] =
    /^Key \((.+?)\)=\(.*\) (already exists\.|is not present in table "[^"]*"\.|is still referenced from table "[^"]*"\.)$/s.exec(
      detail,
    ) ?? [];
  return columns === undefined ? REDACTED : `Key (${columns})=(${REDACTED}) ${what}`;
}

function placeOnly(line: string): string {
  return /^PL\/pgSQL function [^"']+ line \d+ at [\w ]+$/.test(line) ? line : REDACTED;
}
