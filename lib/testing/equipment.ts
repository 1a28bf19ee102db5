import type { Model, ModelClass } from 'objection';
import { ArgumentFilter } from '../core/argument-filter';
import type { ArgumentCodec } from '../job/enqueue/arguments';
import type { JobSetup } from '../job/setup';
import { ModelFolder, type ModelLookup } from '../model/model-folder';
import type { AppDefinition } from '../role/app-definition';
import { loadJobSetup } from '../role/load-job-setup';

export interface EquipmentOptions {
  /** The app's manifest, as `boot` takes it: its job setup and its models count. Default: none. */
  readonly app?: AppDefinition | undefined;
  /** Instead of the app's own. */
  readonly setup?: JobSetup | undefined;
  /** Models that jobs are given. Default: those of the app's folder. */
  readonly models?: readonly ModelClass<Model>[] | undefined;
}

/** What the app adds to its jobs: middleware, serializers, models, filters. */
export class Equipment {
  readonly codec: ArgumentCodec;
  readonly filter: ArgumentFilter;

  private constructor(
    readonly setup: JobSetup,
    readonly models: ModelLookup | undefined,
  ) {
    this.codec = { serializers: setup.serializers, models };
    this.filter = new ArgumentFilter(setup.filterArguments);
  }

  /** @throws UserError for a job setup that is not what it should be. */
  static async load({ app, setup, models }: EquipmentOptions): Promise<Equipment> {
    const found = setup ?? (app ? await loadJobSetup(app) : {});
    return new Equipment(found, models ? lookupOf(models) : app && new ModelFolder(app.modelsDir));
  }
}

function lookupOf(models: readonly ModelClass<Model>[]): ModelLookup {
  return { get: (name) => models.find((model) => model.name === name), place: 'the models of this test' };
}
