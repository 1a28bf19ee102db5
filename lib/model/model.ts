import {
  type Constructor,
  type Id,
  type MaybeCompositeId,
  type ModelClass,
  Model as ObjectionModel,
  type QueryBuilderType,
  snakeCaseMappers,
  type TransactionOrKnex,
} from 'objection';
import { UserError } from '../core/errors';
import { findPrepared } from './find-by-id';
import { currentTransaction, endedTransaction, lateQuery } from './transaction';

/** An Objection model whose queries join the ambient `transaction()` and which maintains its own timestamps. */
export class Model extends ObjectionModel {
  /** Set on insert unless it is given. The table needs a column `created_at`, or the class `timestamps = false`. */
  createdAt?: Date;
  /** Set on every insert and update. The table needs a column `updated_at`, or the class `timestamps = false`. */
  updatedAt?: Date;

  /** false: `createdAt` and `updatedAt` are not set, for tables without these columns. Default true. */
  static timestamps = true;

  /** Maps snake case in the database to camel case in the code. */
  static override columnNameMappers = snakeCaseMappers();

  /**
   * Begins a query in `trx`, or else in the transaction in which the current code runs. A query that nobody awaited may run
   * after that transaction has ended. Then it uses the pool after a commit, and rejects after a rollback. Any query rejects
   * with a UserError if the table lacks a column of the timestamps.
   */
  static override query<M extends ObjectionModel>(this: Constructor<M>, trx?: TransactionOrKnex): QueryBuilderType<M> {
    const query = ObjectionModel.query.call<Constructor<M>, [TransactionOrKnex?], QueryBuilderType<M>>(
      this,
      trx ?? currentTransaction(),
    );
    query.onError((error: unknown) => {
      throw missingTimestamp(this, error) ?? error;
    });
    const late = trx ? undefined : lateQuery(this.name);
    if (!late) return query;
    // A query that is built but never run must not cause an unhandled rejection.
    late.catch(() => undefined);
    query.runBefore(() => late);
    return query;
  }

  /**
   * Finds a record by its id, as `query().findById(id)` does, but outside of transactions by a statement that each connection
   * prepares once. A model with hooks of its own, or another `query`, is asked by that.
   * @param id of a single column, or of each column of a composite key.
   * @returns undefined if there is none. @throws as `query()` does.
   */
  static async findById<M extends ObjectionModel>(this: Constructor<M>, id: MaybeCompositeId): Promise<M | undefined> {
    const model = this as unknown as ModelClass<M>;
    const isOutside = currentTransaction() === undefined && endedTransaction() === undefined;
    const found = isOutside && !Array.isArray(id) ? findPrepared(model, Model, id as Id) : null;
    return found ? await found : ((await model.query().findById(id)) as M | undefined);
  }

  /** Sets `updatedAt`. An override has to call `super.$beforeUpdate()`. */
  override $beforeUpdate(): void {
    if (setsTimestamps(this)) this.updatedAt = new Date();
  }

  /** Sets both times. An override has to call `super.$beforeInsert()`. */
  override $beforeInsert(): void {
    if (!setsTimestamps(this)) return;
    this.createdAt ??= new Date();
    this.updatedAt ??= this.createdAt;
  }
}

function setsTimestamps(record: Model): boolean {
  return (record.constructor as typeof Model).timestamps;
}

/** @returns the error to throw instead of that of Postgres for a table that has no such column; otherwise undefined. */
function missingTimestamp({ name }: { readonly name: string }, error: unknown): UserError | undefined {
  if (!(error instanceof Error)) return undefined;
  const lacking = /column "(created_at|updated_at)" of relation "([^"]+)" does not exist(?: \(in: |$)/.exec(
    error.message,
  );
  if (!lacking) return undefined;
  const [, column, table] = lacking;
  const remedy = `add it by a migration, as table.timestamps(true, true) does, or write static timestamps = false in ${name}`;
  const fault = new UserError(`the table ${table} of the model ${name} has no column ${column}: ${remedy}`);
  return Object.assign(fault, { cause: error });
}
