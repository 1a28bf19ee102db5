import { isRecord, referenceOf } from '../../model/record-reference';
import type { JsonValue } from '../record/json';
import { dollarKey, tagged } from '../record/tags';
import type { ArgumentCodec } from './arguments';

/** Deeper than any honest argument, shallower than the stack of JSON.stringify. */
const MAX_DEPTH = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;
const ADVICE =
  '(arguments travel as JSON: pass ids, text, numbers, booleans, null, dates, bigints, saved models, arrays and plain objects)';

/** Turns values into JSON. What is JSON already is given back as it is, not copied. */
export class ArgumentEncoder {
  /** Where in the value we are. */
  private readonly trail: (string | number)[] = [];
  private readonly ancestors: object[] = [];

  constructor(private readonly codec: ArgumentCodec) {}

  /**
   * @param subject gives the value's name, for errors.
   * @throws TypeError that says where in the value what was found.
   */
  encode(value: unknown, subject: () => string): JsonValue {
    try {
      return this.anything(value);
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      throw new TypeError(`${subject()}${pathText(this.trail)} ${thrown.message} ${ADVICE}`);
    }
  }

  private anything(value: unknown): JsonValue {
    switch (typeof value) {
      case 'string':
        checkText(value, '');
        return value;
      case 'boolean':
        return value;
      case 'number':
        if (!Number.isFinite(value)) throw new Fault(`is ${value}`);
        return Object.is(value, -0) ? tagged('$number', '-0') : value;
      case 'object':
        return value === null ? null : this.object(value);
      case 'bigint':
        return tagged('$bigint', String(value));
      case 'undefined':
        throw new Fault('is undefined');
      default:
        throw new Fault(`is a ${typeof value}`);
    }
  }

  private object(value: object): JsonValue {
    if (this.ancestors.includes(value)) throw new Fault('contains itself');
    if (this.ancestors.length >= MAX_DEPTH) throw new Fault(`is nested deeper than ${MAX_DEPTH} levels`);
    this.ancestors.push(value);
    const encoded = Array.isArray(value) ? this.array(value) : this.plainOrInstance(value);
    this.ancestors.pop();
    return encoded;
  }

  private array(value: readonly unknown[]): JsonValue {
    let copy: JsonValue[] | undefined;
    for (let i = 0; i < value.length; i++) {
      const part = this.part(i, value[i]);
      if (part !== value[i]) copy ??= value.slice() as JsonValue[];
      if (copy) copy[i] = part;
    }
    return copy ?? (value as readonly JsonValue[]);
  }

  private plainOrInstance(value: object): JsonValue {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return this.instance(value, prototype);
    if (Object.getOwnPropertySymbols(value).length > 0) throw new Fault('has a symbol as a key');
    const given = value as Readonly<Record<string, unknown>>;
    const keys = Object.keys(given);
    let entries: [string, JsonValue][] | undefined;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      checkText(key, 'has a key that ');
      const part = this.part(key, given[key]);
      if (part !== given[key]) entries ??= Object.entries(given) as [string, JsonValue][];
      if (entries) entries[i] = [key, part];
    }
    const escaped = dollarKey(keys);
    if (escaped !== undefined) return { [`$${escaped}`]: entries?.[0]?.[1] ?? (given[escaped] as JsonValue) };
    // Not by assignment, to which a key named __proto__ means something else.
    return entries ? Object.fromEntries(entries) : (given as JsonValue);
  }

  private part(key: string | number, value: unknown): JsonValue {
    this.trail.push(key);
    const encoded = this.anything(value);
    this.trail.pop();
    return encoded;
  }

  private instance(value: object, prototype: unknown): JsonValue {
    const serializer = this.codec.serializers?.find((candidate) => candidate.matches(value));
    if (serializer) return tagged('$value', [serializer.name, this.anything(serializer.serialize(value))]);
    if (prototype === Date.prototype) return date(value as Date);
    if (isRecord(value)) return this.record(value);
    throw new Fault(`is an instance of ${nameOf(prototype)}`);
  }

  private record(value: Parameters<typeof referenceOf>[0]): JsonValue {
    const reference = referenceOf(value);
    if (!reference) throw new Fault(`is a ${value.constructor.name} without an id: save it first`);
    const { models } = this.codec;
    if (models && models.get(reference.model) !== value.constructor) {
      throw new Fault(`is a ${reference.model}, which no file in ${models.place} exports`);
    }
    return tagged('$model', [reference.model, reference.id]);
  }
}

/** What is wrong, without where. */
class Fault extends Error {}

function date(value: Date): JsonValue {
  if (Number.isNaN(value.getTime())) throw new Fault('is an invalid Date');
  return tagged('$date', value.toISOString());
}

function checkText(text: string, prefix: string): void {
  if (text.includes('\0')) throw new Fault(`${prefix}has a NUL character, which Postgres cannot store`);
  if (LONE_SURROGATE.test(text)) throw new Fault(`${prefix}is text with half a surrogate pair`);
}

function pathText(trail: readonly (string | number)[]): string {
  if (trail.length === 0) return '';
  return ` ${trail.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')}`;
}

function nameOf(prototype: unknown): string {
  return (prototype as { constructor?: { name?: string } }).constructor?.name || 'an unnamed class';
}
