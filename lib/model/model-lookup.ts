import fs from 'node:fs';
import path from 'node:path';
import type { Model, ModelClass } from 'objection';
import { UserError } from '../core/errors';
import { toError } from '../support/async';

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

/** @throws UserError for a file that cannot be loaded, or for two classes with the same name. */
function loadModels(folder: string): Map<string, ModelClass<Model>> {
  const models = new Map<string, ModelClass<Model>>();
  for (const file of filesIn(folder)) {
    for (const model of modelsOf(file)) {
      const known = models.get(model.name);
      if (known && known !== model) {
        throw new UserError(`${file}: there is another model named ${model.name}; a job's arguments tell them by name`);
      }
      models.set(model.name, model);
    }
  }
  return models;
}

function filesIn(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(js|ts)$/.test(name) && !/\.(d|test|spec)\.(js|ts)$/.test(name))
    .sort()
    .map((name) => path.join(folder, name));
}

function modelsOf(file: string): ModelClass<Model>[] {
  let exported: unknown;
  try {
    exported = require(file);
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${file}: ${error.message}`), { cause: error });
  }
  const candidates = typeof exported === 'object' && exported !== null ? Object.values(exported) : [exported];
  return candidates.filter(isModelClass);
}

function isModelClass(value: unknown): value is ModelClass<Model> {
  return typeof value === 'function' && 'isObjectionModelClass' in value && value.isObjectionModelClass === true;
}
