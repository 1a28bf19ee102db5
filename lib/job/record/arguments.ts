import type { JsonValue } from '../../core/execution-context';
import { isRecord, type ModelLookup, referenceOf } from '../../model/model-lookup';
import type { ArgumentSerializer } from '../definition/setup';

/** Deeper than any sensible argument, and less deep than the stack of JSON.stringify allows. */
const MAX_DEPTH = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;
const TYPES = 'ids, text, numbers, booleans, null, dates, bigints, saved models, arrays and plain objects';
const ADVICE = `(arguments travel as JSON: pass ${TYPES})`;
const ADVICE_FOR_RESULTS = `(results travel as JSON: return nothing, or ${TYPES})`;

/** Turns values into JSON. A value that is JSON already is returned as it is, not copied. */
class ArgumentEncoder {
  /** The path to the current part of the value. */
  private readonly trail: (string | number)[] = [];
  private readonly ancestors: object[] = [];

  constructor(private readonly codec: ArgumentCodec) {}

  /**
   * @param subject returns the value's name, for errors.
   * @throws TypeError that says which part of the value is invalid, and why.
   */
  encode(value: unknown, subject: () => string, advice = ADVICE): JsonValue {
    try {
      return this.anything(value);
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      throw new TypeError(`${subject()}${pathText(this.trail)} ${thrown.message} ${advice}`);
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
    // An assignment to a key named __proto__ would set the prototype.
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
    if (prototype === Date.prototype) return encodeDate(value as Date);
    if (isRecord(value)) return this.record(value);
    throw new Fault(`is an instance of ${describePrototype(prototype)}`);
  }

  private record(value: Parameters<typeof referenceOf>[0]): JsonValue {
    const reference = referenceOf(value);
    if (!reference) throw new Fault(`is a ${value.constructor.name} without an id: save it first`);
    const { models } = this.codec;
    const known = models?.get(reference.model);
    if (models && known !== value.constructor) {
      const other = known ? ', but another of that name: its file was loaded twice' : '';
      throw new Fault(`is a ${reference.model}, which no file in ${models.place} exports${other}`);
    }
    return tagged('$model', [reference.model, reference.id]);
  }
}

/** What is wrong with a value; `encode` puts the path to it in front. */
class Fault extends Error {}

function encodeDate(value: Date): JsonValue {
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

function describePrototype(prototype: unknown): string {
  return (prototype as { constructor?: { name?: string } }).constructor?.name || 'an unnamed class';
}

/** The app's additions to the types that arguments may have. */
export interface ArgumentCodec {
  /** For classes of the app; the first one that matches is used. */
  readonly serializers?: readonly ArgumentSerializer[] | undefined;
  /** If undefined, models are encoded unchecked, and cannot be decoded. */
  readonly models?: ModelLookup | undefined;
}

/**
 * Serializes the arguments of a job: JSON, with tags for Date, bigint, -0, models (class and id) and the types of the
 * app's serializers. Arguments that are JSON already are returned as they are.
 * @param jobName named in the error.
 * @throws TypeError that names the class, the argument (`argument 2 .user.tags[0]`) and what was found there.
 */
export function serializeArguments(
  jobName: string,
  args: readonly unknown[],
  codec: ArgumentCodec = {},
): readonly JsonValue[] {
  const encoder = new ArgumentEncoder(codec);
  let copy: JsonValue[] | undefined;
  for (let i = 0; i < args.length; i++) {
    const encoded = encoder.encode(args[i], () => `${jobName}: argument ${i + 1}`);
    if (encoded !== args[i]) copy ??= args.slice() as JsonValue[];
    if (copy) copy[i] = encoded;
  }
  return copy ?? (args as readonly JsonValue[]);
}

/** Serializes what a job or a step has returned, as an argument. @throws TypeError that begins with `subject`. */
export function serializeResult(subject: string, value: unknown, codec: ArgumentCodec): JsonValue {
  return new ArgumentEncoder(codec).encode(value, () => subject, ADVICE_FOR_RESULTS);
}

/**
 * A value that JSON has no form for becomes an object with one key that begins with `$`. An object of the app that
 * looks like one is escaped by another `$`, which is removed on decoding, so the two are never confused.
 */
type Tag = '$date' | '$bigint' | '$number' | '$model' | '$value';

function tagged(tag: Tag, content: JsonValue): JsonValue {
  return { [tag]: content };
}

/** The only key of an object if it begins with `$`: a tag, or an object that looks like one. */
export function dollarKey(keys: readonly string[]): string | undefined {
  const [key = ''] = keys;
  return keys.length === 1 && key.charCodeAt(0) === DOLLAR ? key : undefined;
}

const DOLLAR = 36;
