import type { Knex } from 'knex';

/** A part of a query, as knex keeps it. */
interface Part {
  readonly grouping: string;
  readonly type?: string;
  readonly value?: unknown;
  readonly direction?: unknown;
  readonly distinct?: unknown;
}

interface Parts {
  readonly _method: string;
  readonly _single: { readonly limit?: unknown; readonly offset?: unknown };
  _statements: Part[];
  readonly client: { raw(sql: string, bindings: readonly string[]): Knex.Raw };
}

/** One column of an ORDER BY; undefined: it is no plain column. */
export interface OrderedColumn {
  readonly column: string | undefined;
  readonly isDescending: boolean;
}

/** What a query says about its rows, and knex does not tell. */
export interface QueryShape {
  readonly order: readonly OrderedColumn[];
  /** false: it has named no columns, which means all. */
  readonly hasColumns: boolean;
  /** What makes its rows others than those of a table, in SQL's words; undefined: nothing. */
  readonly oddity: string | undefined;
}

export function readShape(query: Knex.QueryBuilder): QueryShape {
  const { _method, _single, _statements } = partsOf(query);
  const has = (grouping: string) => _statements.some((part) => part.grouping === grouping);
  const oddities: readonly [string, boolean][] = [
    [_method.toUpperCase(), _method !== 'select'],
    ['LIMIT', _single.limit !== undefined],
    ['OFFSET', _single.offset !== undefined],
    ['UNION', has('union')],
    ['GROUP BY', has('group')],
    ['DISTINCT', _statements.some(({ distinct }) => distinct)],
  ];
  const order = _statements.filter(({ grouping }) => grouping === 'order');
  return {
    order: order.map(({ type, value, direction }) => ({
      column: type === 'orderByBasic' && typeof value === 'string' ? value : undefined,
      isDescending: String(direction).toLowerCase() === 'desc',
    })),
    hasColumns: has('columns'),
    oddity: oddities.find(([, isOdd]) => isOdd)?.[0],
  };
}

/** Puts the conditions of a query into brackets, so that one which is added holds beside all of them, whatever they are. */
export function bracketConditions(query: Knex.QueryBuilder): void {
  const parts = partsOf(query);
  const conditions = parts._statements.filter(({ grouping }) => grouping === 'where');
  if (conditions.length === 0) return;
  query.clear('where').where((inner) => void partsOf(inner)._statements.push(...conditions));
}

/** Adds a column to those that a query has named. */
export function addColumn(query: Knex.QueryBuilder, sql: string, bindings: readonly string[]): void {
  query.select(partsOf(query).client.raw(sql, bindings));
}

/** @throws Error when knex keeps the parts of a query elsewhere. */
function partsOf(query: Knex.QueryBuilder): Parts {
  const parts = query as unknown as Parts;
  if (Array.isArray(parts._statements) && parts._single && parts.client) return parts;
  throw new Error('this version of knex keeps the parts of a query elsewhere: see lib/internals/README.md');
}
