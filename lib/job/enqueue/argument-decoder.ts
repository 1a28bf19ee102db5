import type { RecordId } from '../../model/record-reference';
import type { JsonValue } from '../record/json';
import { UnreadableJobError } from '../record/payload';
import { dollarKey } from '../record/tags';
import type { ArgumentCodec } from './arguments';
import { RecordLoader } from './record-loader';

/** Turns the JSON of one job's arguments back into values. What holds no tag is given back as it is, not copied. */
export class ArgumentDecoder {
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
    // Not by assignment, to which a key named __proto__ means something else.
    const build = (all: readonly unknown[]) => Object.fromEntries(keys.map((key, i) => [key, all[i]]));
    return parts instanceof Promise ? parts.then(build) : build(parts as readonly unknown[]);
  }

  private special(key: string, content: JsonValue): unknown {
    switch (key) {
      case '$date':
        return date(content);
      case '$bigint':
        return bigint(content);
      case '$number':
        return content === '-0' ? -0 : nonsense(key, content);
      case '$model':
        return this.model(content);
      case '$value':
        return this.value(content);
      default:
        // Of our own making it has a second $; what a plain producer wrote stays as it is.
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

function date(content: JsonValue): Date {
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
