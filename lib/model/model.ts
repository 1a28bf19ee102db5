import {
  type Constructor,
  Model as ObjectionModel,
  type QueryBuilderType,
  snakeCaseMappers,
  type TransactionOrKnex,
} from 'objection';
import { currentTransaction, lateQuery } from './transaction';

/** An objection model whose queries take part in the ambient `transaction()` and whose timestamps keep themselves. */
export class Model extends ObjectionModel {
  createdAt?: Date;
  updatedAt?: Date;

  /** Snake case in the database, camel case in the code. */
  static override columnNameMappers = snakeCaseMappers();

  static override query<M extends ObjectionModel>(this: Constructor<M>, trx?: TransactionOrKnex): QueryBuilderType<M> {
    const query = ObjectionModel.query.call<Constructor<M>, [TransactionOrKnex?], QueryBuilderType<M>>(
      this,
      trx ?? currentTransaction(),
    );
    const late = trx ? undefined : lateQuery(this.name);
    if (!late) return query;
    // Whoever only builds it is not told.
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
