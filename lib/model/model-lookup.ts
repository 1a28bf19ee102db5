import type { Model, ModelClass } from 'objection';
import { UserError } from '../core/errors';
import { loadClasses } from '../core/load-classes';

/** Finds model classes by name. */
export interface ModelLookup {
  /** @returns undefined when there is none. @throws UserError when the models cannot be loaded. */
  get(name: string): ModelClass<Model> | undefined;
  /** The source of the models, for error messages. */
  readonly place: string;
}

/**
 * The models of a folder and its subfolders: every objection model that a file exports, by class name. They are loaded
 * on the first lookup, since most processes never need them. A missing folder has no models.
 */
export class ModelFolder implements ModelLookup {
  private models: Map<string, ModelClass<Model>> | undefined;

  constructor(readonly place: string) {}

  get(name: string): ModelClass<Model> | undefined {
    this.models ??= loadModels(this.place);
    return this.models.get(name);
  }
}

/**
 * Loads every model of a folder and its subfolders.
 * @param onFault as in `loadClasses`.
 * @throws UserError for a file that cannot be loaded, or for two classes with the same name.
 */
export function loadModels(folder: string, onFault?: (fault: UserError) => void): Map<string, ModelClass<Model>> {
  const models = new Map<string, ModelClass<Model>>();
  loadClasses(folder, {
    isOne: isModelClass,
    onFault,
    recursive: true,
    take: (classes) => {
      for (const model of classes) {
        if ((models.get(model.name) ?? model) !== model) {
          throw new UserError(`there is another model named ${model.name}; a job's arguments tell them by name`);
        }
        models.set(model.name, model);
      }
    },
  });
  return models;
}

function isModelClass(value: unknown): value is ModelClass<Model> {
  return typeof value === 'function' && 'isObjectionModelClass' in value && value.isObjectionModelClass === true;
}
