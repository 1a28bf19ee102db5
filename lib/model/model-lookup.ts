import type { MaybeCompositeId, Model, ModelClass } from 'objection';
import { UserError } from '../core/errors';
import { type LoadOptions, loadClasses } from '../core/load-classes';

export interface ModelLookup {
  /** @returns undefined if there is none. */
  get(name: string): ModelClass<Model> | undefined;
  /** The source of the models, for error messages. */
  readonly place: string;
}

export interface LoadedModels extends ModelLookup {
  values(): Iterable<ModelClass<Model>>;
}

/**
 * Loads the models of a folder and its subfolders: every Objection model that a file exports, by class name. A missing
 * folder has no models.
 * @throws UserError for a file that cannot be loaded, or for two classes with the same name.
 */
export async function loadModels(folder: string, { importFile, onFault }: LoadOptions = {}): Promise<LoadedModels> {
  const models = new Map<string, ModelClass<Model>>();
  await loadClasses(folder, {
    isOne: isModelClass,
    recursive: true,
    indexes: true,
    importFile,
    onFault,
    take: (classes) => {
      for (const model of classes) {
        if ((models.get(model.name) ?? model) !== model) {
          throw new UserError(
            `there is another model named ${model.name}: rename one, since a job's arguments refer to models by name`,
          );
        }
        models.set(model.name, model);
      }
    },
  });
  return { get: (name) => models.get(name), values: () => models.values(), place: folder };
}

function isModelClass(value: unknown): value is ModelClass<Model> {
  return typeof value === 'function' && 'isObjectionModelClass' in value && value.isObjectionModelClass === true;
}

export type RecordId = string | number | readonly (string | number)[];

/** Identifies a row, so that it can be loaded again. */
export interface RecordReference {
  readonly model: string;
  /** An array for a composite key. */
  readonly id: RecordId;
}

/** Recognizes any Objection model, ours or the app's own, without loading Objection. */
export function isRecord(value: object): value is Model {
  return '$isObjectionModel' in value && value.$isObjectionModel === true;
}

/** @returns undefined for a record without an id, which has never been saved. */
export function referenceOf(record: Model): RecordReference | undefined {
  const id = readId(record);
  return id === undefined ? undefined : { model: record.constructor.name, id };
}

/** Loads records in one query. @returns those that still exist, by the `recordKey` of their id. */
export async function loadRecords(
  modelClass: ModelClass<Model>,
  ids: readonly RecordId[],
): Promise<ReadonlyMap<string, Model>> {
  const found = await modelClass.query().findByIds(ids as MaybeCompositeId[]);
  return new Map(found.map((record) => [recordKey(readId(record) ?? ''), record]));
}

/** Gives `7` and `'7'` the same key, since drivers differ in how they return a large number. */
export function recordKey(id: RecordId): string {
  return Array.isArray(id) ? JSON.stringify(id.map(String)) : String(id);
}

function readId(record: Model): RecordId | undefined {
  const rawId: unknown = record.$id();
  if (!Array.isArray(rawId)) return idPart(rawId);
  const parts = rawId.map(idPart).filter((part) => part !== undefined);
  return parts.length === rawId.length ? parts : undefined;
}

function idPart(part: unknown): string | number | undefined {
  if (typeof part === 'bigint') return String(part);
  return typeof part === 'string' || typeof part === 'number' ? part : undefined;
}
