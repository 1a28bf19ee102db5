import {
  type Constructor,
  Model as ObjectionModel,
  type QueryBuilderType,
  snakeCaseMappers,
  type TransactionOrKnex,
} from 'objection';
import { currentTransaction, lateQuery } from './transaction';

/** An objection model whose queries join the ambient `transaction()` and which maintains its own timestamps. */
export class Model extends ObjectionModel {
  createdAt?: Date;
  updatedAt?: Date;

  /** Maps snake case in the database to camel case in the code. */
  static override columnNameMappers = snakeCaseMappers();

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

  override $beforeUpdate(): void {
    this.updatedAt = new Date();
  }

  override $beforeInsert(): void {
    this.createdAt ??= new Date();
    this.updatedAt ??= this.createdAt;
  }
}
