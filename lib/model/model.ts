import {
  type Constructor,
  Model as ObjectionModel,
  type QueryBuilderType,
  snakeCaseMappers,
  type TransactionOrKnex,
} from 'objection';
import { currentTransaction, lateQuery } from './transaction';

/** An Objection model whose queries join the ambient `transaction()` and which maintains its own timestamps. */
export class Model extends ObjectionModel {
  /** Set on insert unless it is given. The table needs a column `created_at`. */
  createdAt?: Date;
  /** Set on every insert and update. The table needs a column `updated_at`. */
  updatedAt?: Date;

  /** Maps snake case in the database to camel case in the code. */
  static override columnNameMappers = snakeCaseMappers();

  /**
   * Begins a query in `trx`, or else in the transaction in which the current code runs. If nobody awaited the query,
   * and it runs after that transaction has ended, it uses the pool after a commit, and rejects after a rollback.
   */
  static override query<M extends ObjectionModel>(this: Constructor<M>, trx?: TransactionOrKnex): QueryBuilderType<M> {
    const query = ObjectionModel.query.call<Constructor<M>, [TransactionOrKnex?], QueryBuilderType<M>>(
      this,
      trx ?? currentTransaction(),
    );
    const late = trx ? undefined : lateQuery(this.name);
    if (!late) return query;
    // A query that is built but never run must not cause an unhandled rejection.
    late.catch(() => undefined);
    query.runBefore(() => late);
    return query;
  }

  /** Sets `updatedAt`. An override has to call `super.$beforeUpdate()`. */
  override $beforeUpdate(): void {
    this.updatedAt = new Date();
  }

  /** Sets both times. An override has to call `super.$beforeInsert()`. */
  override $beforeInsert(): void {
    this.createdAt ??= new Date();
    this.updatedAt ??= this.createdAt;
  }
}
