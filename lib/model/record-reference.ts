import type { MaybeCompositeId, Model, ModelClass } from 'objection';

export type RecordId = string | number | readonly (string | number)[];

/** What stands for a row: enough to find it again. */
export interface RecordReference {
  /** The name of the model's class. */
  readonly model: string;
  /** Several parts for a composite key. */
  readonly id: RecordId;
}

/** Any objection model, ours or the app's own, without loading objection. */
export function isRecord(value: object): value is Model {
  return '$isObjectionModel' in value && value.$isObjectionModel === true;
}

/** @returns undefined for a record without an id: one that was never saved. */
export function referenceOf(record: Model): RecordReference | undefined {
  const id = idOf(record);
  return id === undefined ? undefined : { model: record.constructor.name, id };
}

/** @returns the rows that are still there, by `recordKey` of their ids; one query. */
export async function loadRecords(
  modelClass: ModelClass<Model>,
  ids: readonly RecordId[],
): Promise<ReadonlyMap<string, Model>> {
  const found = await modelClass.query().findByIds(ids as MaybeCompositeId[]);
  return new Map(found.map((record) => [recordKey(idOf(record) ?? ''), record]));
}

/** The same for `7` and `'7'`: drivers differ in how they give a large number. */
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
