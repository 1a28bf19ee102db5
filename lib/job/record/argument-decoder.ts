import type { Model } from 'objection';
import type { JsonValue } from '../../core/execution-context';
import {
  loadRecords,
  type ModelLookup,
  type RecordId,
  type RecordReference,
  recordKey,
} from '../../model/model-lookup';
import { NotHereError, RecordGoneError } from '../definition/errors';
import { type ArgumentCodec, dollarKey } from './arguments';
import { UnreadableJobError } from './payload';

/**
 * Restores the arguments for `perform`. Models are loaded again, with one query for each class. Arguments without tags are
 * returned as they are; otherwise the result is a promise.
 * @throws RecordGoneError when a model's row is gone; UnreadableJobError for an invalid tag; NotHereError for a model or a
 * serializer that is not in this app.
 */
export function deserializeArguments(
  json: readonly JsonValue[],
  codec: ArgumentCodec = {},
): readonly unknown[] | Promise<readonly unknown[]> {
  const references: RecordReference[] = [];
  return hasTag(json, references) ? decodeAll(json, references, codec) : json;
}

/** @param references receives those to models. @returns true if something has to be decoded. */
function hasTag(value: JsonValue, references: RecordReference[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const key = isArray(value) ? undefined : dollarKey(Object.keys(value));
  let found = key !== undefined;
  for (const part of Object.values(value)) {
    if (key === '$model') references.push(readReference(part));
    else found = hasTag(part, references) || found;
  }
  return found;
}

async function decodeAll(
  json: readonly JsonValue[],
  references: readonly RecordReference[],
  codec: ArgumentCodec,
): Promise<readonly unknown[]> {
  const records = new Map<string, ReadonlyMap<string, Model>>();
  for (const name of new Set(references.map(({ model }) => model))) {
    const ids = references.filter(({ model }) => model === name).map(({ id }) => id);
    records.set(name, await loadRecords(findModel(codec.models, name), ids));
  }
  const decode = async (value: JsonValue): Promise<unknown> => {
    if (typeof value !== 'object' || value === null) return value;
    if (isArray(value)) return Promise.all(value.map(decode));
    const entries = Object.entries(value);
    const [[, content = null] = []] = entries;
    switch (dollarKey(entries.map(([key]) => key))) {
      case '$date':
        return decodeDate(content);
      case '$bigint':
        return decodeBigint(content);
      case '$number':
        return content === '-0' ? -0 : nonsense('$number', content);
      case '$model':
        return findRecord(records, readReference(content));
      case '$value':
        return decodeByApp(content);
    }
    // An assignment to a key named __proto__ would set the prototype. The encoder escapes a lone key that begins with $ by a
    // second one; a key that another producer wrote stays as it is.
    const name = (key: string) => (entries.length === 1 && key.startsWith('$$') ? key.slice(1) : key);
    return Object.fromEntries(
      await Promise.all(entries.map(async ([key, part]) => [name(key), await decode(part)] as const)),
    );
  };
  const decodeByApp = async (content: JsonValue): Promise<unknown> => {
    if (!isArray(content) || content.length !== 2) return nonsense('$value', content);
    const [name, inner = null] = content;
    const serializer = codec.serializers?.find((candidate) => candidate.name === name);
    if (!serializer) throw new NotHereError(`there is no argument serializer ${JSON.stringify(name)} in this app`);
    return serializer.deserialize((await decode(inner)) as JsonValue);
  };
  return Promise.all(json.map(decode));
}

function readReference(content: JsonValue): RecordReference {
  const [model, id = null] = isArray(content) ? content : [];
  const parts = Array.isArray(id) ? id : [id];
  if (typeof model !== 'string' || !parts.every((part) => typeof part === 'string' || typeof part === 'number'))
    return nonsense('$model', content);
  return { model, id: id as RecordId };
}

function findModel(models: ModelLookup | undefined, name: string) {
  if (!models) throw new Error(`an argument is a ${name}, but this process knows no models`);
  const found = models.get(name);
  if (!found) throw new NotHereError(`an argument is a ${name}, which no file in ${models.place} exports`);
  return found;
}

function findRecord(records: ReadonlyMap<string, ReadonlyMap<string, Model>>, { model, id }: RecordReference): Model {
  const record = records.get(model)?.get(recordKey(id));
  if (!record) throw new RecordGoneError(model, String(id));
  return record;
}

function decodeDate(content: JsonValue): Date {
  const value = typeof content === 'string' ? new Date(content) : undefined;
  return value && !Number.isNaN(value.getTime()) ? value : nonsense('$date', content);
}

function decodeBigint(content: JsonValue): bigint {
  return typeof content === 'string' && /^-?\d+$/.test(content) ? BigInt(content) : nonsense('$bigint', content);
}

function nonsense(tag: string, content: JsonValue): never {
  throw new UnreadableJobError(`an argument is tagged ${tag}, but holds ${JSON.stringify(content).slice(0, 100)}`);
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
