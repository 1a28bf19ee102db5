import type { Id, Model, ModelClass } from 'objection';
import { runPrepared } from './prepared';

/** Postgres cuts longer names of statements, bytes. */
const MAX_NAME = 63;
/** What a model may override of its queries. Its records are then found by `query()`. */
const OF_QUERIES = ['query', 'QueryBuilder', 'onCreateQuery', 'beforeFind', 'afterFind'] as const;

interface Statement {
  readonly name: string;
  readonly sql: string;
}

/** The statement of each model; false if it needs `query()`. */
const statements = new WeakMap<object, Statement | false>();

/**
 * Finds a record by an id of one column, by a statement that each connection prepares once. Objection and knex would build it
 * anew, which takes longer than to read the row.
 * @param base the class of which a plain model overrides nothing. @returns null if the model needs `query()`.
 */
export function findPrepared<M extends Model>(
  model: ModelClass<M>,
  base: ModelClass<Model>,
  id: Id,
): Promise<M | undefined> | null {
  const statement = statements.get(model) ?? statementOf(model, base);
  if (!statements.has(model)) statements.set(model, statement);
  return statement ? find(model, statement, id) : null;
}

async function find<M extends Model>(model: ModelClass<M>, { name, sql }: Statement, id: Id): Promise<M | undefined> {
  const { rows } = await runPrepared<object>(model.knex(), name, sql, [id]);
  return rows[0] && (model.fromDatabaseJson(rows[0]) as M);
}

function statementOf(model: ModelClass<Model>, base: ModelClass<Model>): Statement | false {
  const { tableName, idColumn } = model;
  const name = `catamount find ${tableName} by ${String(idColumn)}`;
  const isPlain =
    typeof idColumn === 'string' &&
    Buffer.byteLength(name) <= MAX_NAME &&
    OF_QUERIES.every((member) => Reflect.get(model, member) === Reflect.get(base, member)) &&
    model.prototype.$afterFind === base.prototype.$afterFind;
  if (!isPlain) return false;
  const table = model.knex().raw('??', [tableName]).toQuery();
  return { name, sql: `select ${table}.* from ${table} where ${model.knex().raw('??', [idColumn]).toQuery()} = ?` };
}
