import type { Model, ModelClass } from 'objection';
import type { JsonValue } from '../../core/execution-context';
import {
  loadRecords,
  type ModelLookup,
  type RecordId,
  type RecordReference,
  recordKey,
} from '../../model/model-lookup';
import { deferred } from '../../support/deferred';
import { NotHereError, RecordGoneError } from '../definition/errors';
import { type ArgumentCodec, dollarKey } from './arguments';
import { UnreadableJobError } from './payload';

/**
 * Restores the arguments for `perform`. Models are loaded again, with one query for each class. Returns a promise only
 * if something has to be awaited.
 * @throws RecordGoneError when a model's row is gone; UnreadableJobError for an invalid tag; NotHereError for a model or a
 * serializer that is not in this app.
 */
export function deserializeArguments(
  json: readonly JsonValue[],
  codec: ArgumentCodec = {},
): readonly unknown[] | Promise<readonly unknown[]> {
  return new ArgumentDecoder(codec).decode(json);
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
    try {
      for (let i = 0; i < value.length; i++) {
        const part = this.anything(value[i] as JsonValue);
        if (part !== value[i]) copy ??= value.slice();
        if (copy) copy[i] = part;
        late ||= isThenable(part);
      }
    } catch (thrown) {
      // Nobody awaits the parts before it, of which some may reject.
      for (const part of copy ?? []) if (isThenable(part)) part.then(undefined, () => undefined);
      throw thrown;
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
    if (!serializer) throw new NotHereError(`there is no argument serializer ${JSON.stringify(name)} in this app`);
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

type Found = ReadonlyMap<string, Model>;

/**
 * Loads the records that one job's arguments refer to, with one query per class for those requested together.
 */
class RecordLoader {
  private asked: { readonly reference: RecordReference; readonly done: (found: Promise<Found>) => void }[] = [];

  constructor(private readonly models: ModelLookup | undefined) {}

  /** @throws RecordGoneError; NotHereError for a class that is not in this app. */
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
    if (!modelClass) throw new NotHereError(`an argument is a ${name}, which no file in ${models.place} exports`);
    return modelClass;
  }
}
