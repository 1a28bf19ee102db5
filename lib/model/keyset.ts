import type { Knex } from 'knex';
import { addColumn, bracketConditions, type QueryShape, readShape } from '../internals/knex-query';

/** Rows cannot be gone over in the order of a query: it has no order, or one with NULLs or with equal rows. */
export class KeysetError extends Error {
  override readonly name = 'KeysetError';
}

/** What is used of a query of Objection, whose rows are models. */
interface ModelQuery extends PromiseLike<unknown> {
  toKnexQuery(): Knex.QueryBuilder;
  modelClass(): { readonly idColumn: string | readonly string[] };
  tableRefFor(model: unknown): string;
  clone(): ModelQuery;
  onBuildKnex(change: (query: Knex.QueryBuilder) => void): ModelQuery;
}

/** The place of a row in the order of a query: its columns as Postgres writes them, so nothing is lost of any type. */
export type Key = readonly string[];

/** The name that the place has as a column of the rows. No mapper of names changes it. */
const KEY = 'keysetkey';

/** The rows of a query, in the order of unique columns. Each fetch continues after the last row of the one before. */
export class Keyset {
  private constructor(
    private readonly query: Knex.QueryBuilder | ModelQuery,
    private readonly columns: readonly string[],
    private readonly isDescending: boolean,
    /** true: the order is that of a model's primary key, which is never NULL. */
    private readonly isPrimary: boolean,
    /** true: the query names no columns. One of Objection adds them itself. */
    private readonly selectsAll: boolean,
  ) {}

  /**
   * @returns undefined for what is no query.
   * @throws KeysetError for a query without a usable order, or with a limit and the like.
   */
  static of(query: unknown): Keyset | undefined {
    const isModel = isModelQuery(query);
    if (!isModel && !isKnexQuery(query)) return undefined;
    const { order, hasColumns, oddity } = readShape(isModel ? query.toKnexQuery() : query);
    if (oddity !== undefined) throw new KeysetError(`a query with ${oddity} cannot be gone over: leave that out`);
    if (order.length > 0)
      return new Keyset(query, columnsOf(order), order[0]?.isDescending === true, false, !hasColumns);
    if (!isModel)
      throw new KeysetError('the query has no order: give it one, as .orderBy(…), by columns that are unique together');
    const model = query.modelClass();
    const table = query.tableRefFor(model);
    return new Keyset(
      query,
      [model.idColumn].flat().map((column) => `${table}.${column}`),
      false,
      true,
      false,
    );
  }

  /** The order, as text. */
  get order(): string {
    return this.columns.join(', ') + (this.isDescending ? ' desc' : '');
  }

  /** @throws KeysetError if a column of the order is NULL somewhere: such a row would be left out. */
  async checkNulls(): Promise<void> {
    if (this.isPrimary) return;
    for (const column of this.columns) {
      const query = this.bare();
      bracketConditions(query);
      if ((await query.whereNull(column).limit(1)).length > 0) throw nullIn(column);
    }
  }

  async count(): Promise<number> {
    const [row] = (await this.bare().clear('select').count('* as rows')) as { readonly rows: string }[];
    return Number(row?.rows);
  }

  /**
   * Fetches `size` rows at a time, when they are needed. @param after undefined: from the beginning.
   * @throws KeysetError, before any row of the fetch in question is given out, for NULLs and for rows with an equal place.
   */
  async *rows(size: number, after: Key | undefined): AsyncGenerator<readonly [row: unknown, key: Key]> {
    for (let last = after; ; ) {
      // One row more shows whether the last one is alone in its place, and whether there are more.
      const rows = await this.fetch(size + 1, last);
      const keys = rows.map((row) => this.takeKey(row));
      keys.forEach((key, i) => {
        if (i === 0 || keys[i - 1]?.some((part, at) => part !== key[at])) return;
        throw new KeysetError(
          `two rows have the same ${this.order} (${key.join(', ')}): add a unique column to the order`,
        );
      });
      for (const [i, row] of rows.slice(0, size).entries()) yield [row, keys[i] as Key];
      if (rows.length <= size) return;
      last = keys[size - 1];
    }
  }

  private async fetch(limit: number, after: Key | undefined): Promise<Record<string, unknown>[]> {
    const { query } = this;
    const rows: unknown = await (isModelQuery(query)
      ? query.clone().onBuildKnex((built) => void this.cut(built, limit, after))
      : this.cut(this.selectsAll ? query.clone().select('*') : query.clone(), limit, after));
    if (Array.isArray(rows)) return rows as Record<string, unknown>[];
    throw new KeysetError('the query does not return a list of rows: leave out first(), range() and the like');
  }

  /** Makes the query one for the rows after a place. */
  private cut(query: Knex.QueryBuilder, limit: number, after: Key | undefined): Knex.QueryBuilder {
    const { columns, isDescending } = this;
    const marks = (mark: string) => columns.map(() => mark).join(', ');
    bracketConditions(query);
    addColumn(query, `array[${marks('??::text')}] as ??`, [...columns, KEY]);
    if (after) query.whereRaw(`(${marks('??')}) ${isDescending ? '<' : '>'} (${marks('?')})`, [...columns, ...after]);
    return query
      .clear('order')
      .orderBy(columns.map((column) => ({ column, order: isDescending ? 'desc' : 'asc' })))
      .limit(limit);
  }

  /** A copy for questions about all rows. */
  private bare(): Knex.QueryBuilder {
    const { query } = this;
    return (isModelQuery(query) ? query.toKnexQuery() : query.clone()).clear('order');
  }

  private takeKey(row: Record<string, unknown>): Key {
    const key = row[KEY] as readonly (string | null)[] | undefined;
    if (!key)
      throw new KeysetError('the query changes the columns of its rows: use withGraphFetched, not withGraphJoined');
    delete row[KEY];
    const empty = key.indexOf(null);
    if (empty >= 0) throw nullIn(this.columns[empty] ?? '');
    return key as Key;
  }
}

function nullIn(column: string): KeysetError {
  return new KeysetError(
    `${column} is NULL in a row, which has no place in the order: leave such rows out, or order by other columns`,
  );
}

function columnsOf(order: QueryShape['order']): string[] {
  if (order.some(({ isDescending }) => isDescending !== order[0]?.isDescending))
    throw new KeysetError('the columns of the order go in different directions: give all of them the same');
  return order.map(({ column }) => {
    if (column === undefined)
      throw new KeysetError('the order is not by plain columns: name them, as .orderBy(column)');
    return column;
  });
}

function isModelQuery(query: unknown): query is ModelQuery {
  return typeof (query as Partial<ModelQuery> | undefined)?.toKnexQuery === 'function';
}

function isKnexQuery(query: unknown): query is Knex.QueryBuilder {
  return typeof (query as Partial<Knex.QueryBuilder> | undefined)?.whereRaw === 'function';
}
