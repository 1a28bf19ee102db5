import type { Model, ModelClass } from 'objection';
import { UserError } from '../core/errors';
import { type LoadOptions, loadClasses } from '../core/load-classes';

/** Finds model classes by name. */
export interface ModelLookup {
  /** @returns undefined when there is none. */
  get(name: string): ModelClass<Model> | undefined;
  /** The source of the models, for error messages. */
  readonly place: string;
}

/** The models of an app's folder. */
export interface LoadedModels extends ModelLookup {
  values(): Iterable<ModelClass<Model>>;
}

/**
 * Loads the models of a folder and its subfolders: every objection model that a file exports, by class name. A missing
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
          throw new UserError(`there is another model named ${model.name}; a job's arguments tell them by name`);
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
