import type { Model, ModelClass } from 'objection';
import type { JsonValue } from '../../core/execution-context';
import type { ModelLookup } from '../../model/model-lookup';
import {
  isRecord,
  loadRecords,
  type RecordId,
  type RecordReference,
  recordKey,
  referenceOf,
} from '../../model/model-lookup';
import { deferred } from '../../support/async';
import { RecordGoneError } from '../definition/errors';
import type { ArgumentSerializer } from '../definition/setup';
import { UnreadableJobError } from './record';

/** Deeper than any sensible argument, and less deep than the stack of JSON.stringify. */
const MAX_DEPTH = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;
const ADVICE =
  '(arguments travel as JSON: pass ids, text, numbers, booleans, null, dates, bigints, saved models, arrays and plain objects)';

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

/** The fault without its path. */
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

function nameOf(prototype: unknown): string {
  return (prototype as { constructor?: { name?: string } }).constructor?.name || 'an unnamed class';
}

/** Turns the JSON of one job's arguments back into values. A value without tags is returned as it is, not copied. */
class ArgumentDecoder {
  private loader: RecordLoader | undefined;

  constructor(private readonly codec: ArgumentCodec) {}

  decode(json: readonly JsonValue[]): readonly unknown[] | Promise<readonly unknown[]> {
    return this.array(json) as readonly unknown[] | Promise<readonly unknown[]>;
  }

  private anything(value: JsonValue): unknown {
    if (typeof value !== 'object' || value === null) return value;
    return isArray(value) ? this.array(value) : this.object(value);
  }

  private array(value: readonly JsonValue[]): unknown {
    let copy: unknown[] | undefined;
    let late = false;
    for (let i = 0; i < value.length; i++) {
      const part = this.anything(value[i] as JsonValue);
      if (part !== value[i]) copy ??= value.slice();
      if (copy) copy[i] = part;
      late ||= isThenable(part);
    }
    return late && copy ? Promise.all(copy) : (copy ?? value);
  }

  private object(value: { readonly [key: string]: JsonValue }): unknown {
    const keys = Object.keys(value);
    const special = dollarKey(keys);
    if (special !== undefined) return this.special(special, value[special] as JsonValue);
    const given = keys.map((key) => value[key] as JsonValue);
    const parts = this.array(given);
    if (parts === given) return value;
    // An assignment to a key named __proto__ would set the prototype.
    const build = (all: readonly unknown[]) => Object.fromEntries(keys.map((key, i) => [key, all[i]]));
    return parts instanceof Promise ? parts.then(build) : build(parts as readonly unknown[]);
  }

  private special(key: string, content: JsonValue): unknown {
    switch (key) {
      case '$date':
        return decodeDate(content);
      case '$bigint':
        return bigint(content);
      case '$number':
        return content === '-0' ? -0 : nonsense(key, content);
      case '$model':
        return this.model(content);
      case '$value':
        return this.value(content);
      default:
        // The encoder escapes such a key with a second $; a key that another producer wrote stays as it is.
        return this.single(key.startsWith('$$') ? key.slice(1) : key, content);
    }
  }

  private single(key: string, content: JsonValue): unknown {
    const part = this.anything(content);
    return isThenable(part) ? Promise.resolve(part).then((value) => ({ [key]: value })) : { [key]: part };
  }

  private model(content: JsonValue): unknown {
    if (!isArray(content) || typeof content[0] !== 'string') return nonsense('$model', content);
    const [name, id] = content;
    const parts = Array.isArray(id) ? id : [id];
    if (!parts.every((part) => typeof part === 'string' || typeof part === 'number'))
      return nonsense('$model', content);
    this.loader ??= new RecordLoader(this.codec.models);
    return this.loader.load({ model: name, id: id as RecordId });
  }

  private value(content: JsonValue): unknown {
    if (!isArray(content) || content.length !== 2) return nonsense('$value', content);
    const [name, json] = content as readonly [JsonValue, JsonValue];
    const serializer = this.codec.serializers?.find((candidate) => candidate.name === name);
    if (!serializer) throw new Error(`there is no argument serializer ${JSON.stringify(name)} in this app`);
    const inner = this.anything(json);
    return isThenable(inner)
      ? Promise.resolve(inner).then((value) => serializer.deserialize(value as JsonValue))
      : serializer.deserialize(inner as JsonValue);
  }
}

function decodeDate(content: JsonValue): Date {
  const value = typeof content === 'string' ? new Date(content) : undefined;
  return value && !Number.isNaN(value.getTime()) ? value : nonsense('$date', content);
}

function bigint(content: JsonValue): bigint {
  return typeof content === 'string' && /^-?\d+$/.test(content) ? BigInt(content) : nonsense('$bigint', content);
}

function nonsense(tag: string, content: JsonValue): never {
  throw new UnreadableJobError(`an argument is tagged ${tag}, but holds ${JSON.stringify(content).slice(0, 100)}`);
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
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

/**
 * Restores the arguments for `perform`. Models are loaded again, with one query for each class. Returns a promise only
 * if something has to be awaited.
 * @throws RecordGoneError when a model's row is gone; UnreadableJobError for an invalid tag; Error for a model or a
 * serializer that is not in this app (an older process may have met a newer job).
 */
export function deserializeArguments(
  json: readonly JsonValue[],
  codec: ArgumentCodec = {},
): readonly unknown[] | Promise<readonly unknown[]> {
  return new ArgumentDecoder(codec).decode(json);
}

type Found = ReadonlyMap<string, Model>;

/**
 * Loads the records that one job's arguments refer to, with one query per class for those that are asked for together.
 */
class RecordLoader {
  private asked: { readonly reference: RecordReference; readonly done: (found: Promise<Found>) => void }[] = [];

  constructor(private readonly models: ModelLookup | undefined) {}

  /** @throws RecordGoneError; Error for a class that is not in this app. */
  async load(reference: RecordReference): Promise<Model> {
    const found = deferred<Promise<Found>>();
    if (this.asked.length === 0) queueMicrotask(() => this.answer());
    this.asked.push({ reference, done: found.resolve });
    const record = (await await found.promise).get(recordKey(reference.id));
    if (!record) throw new RecordGoneError(reference.model, String(reference.id));
    return record;
  }

  private answer(): void {
    const asked = this.asked;
    this.asked = [];
    for (const name of new Set(asked.map(({ reference }) => reference.model))) {
      const ofClass = asked.filter(({ reference }) => reference.model === name);
      const ids = ofClass.map(({ reference }) => reference.id);
      const found = this.query(name, ids);
      for (const { done } of ofClass) done(found);
    }
  }

  private async query(name: string, ids: readonly RecordReference['id'][]): Promise<Found> {
    return loadRecords(this.modelClass(name), ids);
  }

  private modelClass(name: string): ModelClass<Model> {
    const { models } = this;
    if (!models) throw new Error(`an argument is a ${name}, but this process knows no models`);
    const modelClass = models.get(name);
    if (!modelClass) throw new Error(`an argument is a ${name}, which no file in ${models.place} exports`);
    return modelClass;
  }
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
