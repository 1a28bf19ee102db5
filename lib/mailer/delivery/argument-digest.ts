import { createHash, randomUUID } from 'node:crypto';
import { isAnyArrayBuffer } from 'node:util/types';
import { isRecord, recordKey, referenceOf } from '../../model/model-lookup';

/** Nesting limit: deeper than real arguments, and far below the depth at which the stack overflows. */
const MAX_DEPTH = 500;

/**
 * Digests arguments and params by value, equal in every run and process. Records count by class and id, since their
 * columns change. Any value is accepted, because `deliverNow` does not require serializable arguments. An instance
 * that exposes no state gets a random digest: two that look alike might differ, and equal digests would skip the
 * second mail.
 */
export function digestOfArguments(args: readonly unknown[], params: object): string {
  const seen = new Map<object, string>();
  return argumentDigest([listed(args, seen, 0), propertyText(params, seen, 0)]);
}

/** Returns text that differs for different values. */
function valueText(value: unknown, seen: Map<object, string>, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' && value !== null) return objectText(value, seen, depth);
  return `${typeof value}:${String(value)}`;
}

/** @param seen digests of objects already seen: an object may be shared, or contain itself. */
function objectText(value: object, seen: Map<object, string>, depth: number): string {
  const before = seen.get(value);
  if (before !== undefined) return before;
  if (depth > MAX_DEPTH) return 'too deep';
  seen.set(value, 'itself');
  const text = argumentDigest(taggedParts(value, seen, depth + 1));
  seen.set(value, text);
  return text;
}

function taggedParts(value: object, seen: Map<object, string>, depth: number): readonly string[] {
  if (Array.isArray(value)) return ['array', listed(value, seen, depth)];
  if (value instanceof Date) return ['date', String(value.getTime())];
  if (ArrayBuffer.isView(value)) {
    return ['bytes', Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')];
  }
  if (isAnyArrayBuffer(value)) return ['bytes', Buffer.from(value).toString('base64')];
  if (value instanceof Map) return ['map', listed([...value].flat(), seen, depth)];
  if (value instanceof Set) return ['set', listed([...value], seen, depth)];
  if (value instanceof Error) return ['error', value.name, value.message, propertyText(value, seen, depth)];
  if (isRecord(value)) {
    const reference = referenceOf(value);
    if (reference) return ['record', reference.model, recordKey(reference.id)];
  }
  const name = readClassName(value);
  if (name === '') return ['object', propertyText(value, seen, depth)];
  const shown = [ownWords(value, seen, depth), propertyText(value, seen, depth)];
  return ['instance', name, ...(shown.join('') === '{}' ? [randomUUID()] : shown)];
}

/** The output of an instance's own `toJSON` or `toString`, which may say more than its properties: a URL has none. */
function ownWords(value: object, seen: Map<object, string>, depth: number): string {
  const { toJSON, toString: words } = value as { readonly toJSON?: unknown; readonly toString?: unknown };
  try {
    if (typeof toJSON === 'function' && !isRecord(value)) return valueText(toJSON.call(value), seen, depth);
    if (typeof words === 'function' && words !== Object.prototype.toString) return String(words.call(value));
    return '';
  } catch {
    return 'unreadable';
  }
}

function listed(values: readonly unknown[], seen: Map<object, string>, depth: number): string {
  const end = values.findLastIndex((value) => value !== undefined) + 1;
  return `[${values
    .slice(0, end)
    .map((value) => valueText(value, seen, depth))
    .join()}]`;
}

/** Sorted by name, so that their order does not count. An undefined property counts as absent. */
function propertyText(value: object, seen: Map<object, string>, depth: number): string {
  const parts: string[] = [];
  for (const name of Object.keys(value).sort()) {
    const property = read(value, name);
    if (property !== undefined) parts.push(`${JSON.stringify(name)}:${valueText(property, seen, depth)}`);
  }
  return `{${parts.join()}}`;
}

function read(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return 'unreadable';
  }
}

/** Empty for a plain object, `?` for a class without a name. */
function readClassName(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return '';
  return String((prototype as { readonly constructor?: { readonly name?: unknown } }).constructor?.name ?? '') || '?';
}

function argumentDigest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
