import type { Model, ModelClass } from 'objection';
import type { ModelLookup } from '../../model/model-folder';
import { loadRecords, type RecordReference, recordKey } from '../../model/record-reference';
import { deferred } from '../../support/deferred';
import { RecordGoneError } from '../perform/verdict';

type Found = ReadonlyMap<string, Model>;

/** Loads the records that one job's arguments refer to: what is asked for in one go takes one query a class. */
export class RecordLoader {
  private asked: { readonly reference: RecordReference; readonly done: (found: Promise<Found>) => void }[] = [];

  constructor(private readonly models: ModelLookup | undefined) {}

  /** @throws RecordGoneError; Error for a class that is not in this app. */
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
    if (!modelClass) throw new Error(`an argument is a ${name}, which no file in ${models.place} exports`);
    return modelClass;
  }
}
