import type { MaybeCompositeId, Model, ModelClass } from 'objection';

export type RecordId = string | number | readonly (string | number)[];

/** Identifies a row, so that it can be loaded again. */
export interface RecordReference {
  /** Class name of the model. */
  readonly model: string;
  /** An array for a composite key. */
  readonly id: RecordId;
}

/** Recognises any objection model, ours or the app's own, without loading objection. */
export function isRecord(value: object): value is Model {
  return '$isObjectionModel' in value && value.$isObjectionModel === true;
}

/** @returns undefined for a record without an id, which was never saved. */
export function referenceOf(record: Model): RecordReference | undefined {
  const id = idOf(record);
  return id === undefined ? undefined : { model: record.constructor.name, id };
}

/** Loads records in one query. @returns those that still exist, by the `recordKey` of their id. */
export async function loadRecords(
  modelClass: ModelClass<Model>,
  ids: readonly RecordId[],
): Promise<ReadonlyMap<string, Model>> {
  const found = await modelClass.query().findByIds(ids as MaybeCompositeId[]);
  return new Map(found.map((record) => [recordKey(idOf(record) ?? ''), record]));
}

/** Gives `7` and `'7'` the same key, since drivers differ in how they return a large number. */
export function recordKey(id: RecordId): string {
  return Array.isArray(id) ? JSON.stringify(id.map(String)) : String(id);
}

function idOf(record: Model): RecordId | undefined {
  const given: unknown = record.$id();
  if (!Array.isArray(given)) return idPart(given);
  const parts = given.map(idPart).filter((part) => part !== undefined);
  return parts.length === given.length ? parts : undefined;
}

function idPart(part: unknown): string | number | undefined {
  if (typeof part === 'bigint') return String(part);
  return typeof part === 'string' || typeof part === 'number' ? part : undefined;
}
