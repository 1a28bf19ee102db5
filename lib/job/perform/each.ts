import { Keyset } from '../../model/keyset';
import { currentTransaction } from '../../model/transaction';
import type { Cursor } from './checkpoint';
import type { Run } from './run';

/** How many rows are fetched at a time unless the job says otherwise. */
const FETCH = 500;

/** What `each` goes over: a query, or a function that gives items from a cursor on, each with the cursor that follows it. */
export type EachSource<T, C extends Cursor = Cursor> =
  | PromiseLike<readonly T[]>
  | ((cursor: C | undefined) => AsyncIterable<readonly [item: T, cursor: C]> | Iterable<readonly [item: T, cursor: C]>);

/** How `each` goes over a query. */
export interface EachOptions {
  /** The work gets so many rows at once, as an array; the last time maybe fewer. Default: one row, by itself. */
  readonly batch?: number;
  /** Rows that one query fetches while the work gets them one by one. Default 500; with `batch` as many as that. */
  readonly fetch?: number;
  /** false: the rows are not counted, and no progress is shown. Default true for queries. */
  readonly progress?: boolean;
}

/** The cursor of `each`. */
interface Position {
  /** The order of the query; null: the source has cursors of its own. */
  readonly by: string | null;
  readonly at: Cursor;
  /** Items that are done, and how many there were in the beginning; null: that was not counted. */
  readonly done: number;
  readonly total: number | null;
}

/** Goes over the items of `source`, from where an earlier run of the job has ended. */
export async function each(
  run: Run,
  source: EachSource<unknown>,
  options: EachOptions,
  work: (given: unknown) => unknown,
): Promise<void> {
  const { checkpoint } = run;
  const name = `${run.class}.each`;
  const { batch, fetch = FETCH, progress = true } = options;
  checkCount(`${name}: batch`, batch);
  checkCount(`${name}: fetch`, fetch);
  if (currentTransaction())
    throw new TypeError(`${name} was called in a transaction: its cursor would outlive a rollback. Call it outside`);
  checkpoint.claimCursor('each');
  const keyset = typeof source === 'function' ? undefined : Keyset.of(source);
  if (typeof source !== 'function' && !keyset)
    throw new TypeError(`${name} needs a query of a model or of knex, or a function that returns an iterable`);
  const by = keyset?.order ?? null;
  const begun = readPosition(name, await checkpoint.cursor(), by);
  if (!begun) await keyset?.checkNulls();
  const total = begun ? begun.total : keyset && progress ? await keyset.count() : null;
  let done = begun?.done ?? 0;
  let items: unknown[] = [];
  let last: Cursor = null;
  const turn = async () => {
    if (run.abortReason) throw run.abortReason;
    const given = batch === undefined ? items[0] : items;
    done += items.length;
    items = [];
    await work(given);
    if (total !== null) await checkpoint.progress(Math.min(1, done / Math.max(1, total)));
    await checkpoint.save({ by, at: last, done, total }, batch !== undefined);
  };
  const pairs = keyset
    ? keyset.rows(batch ?? fetch, begun?.at as string[] | undefined)
    : (source as Exclude<EachSource<unknown>, PromiseLike<readonly unknown[]>>)(begun?.at);
  for await (const [item, at] of pairs) {
    items.push(item);
    last = at;
    if (items.length === (batch ?? 1)) await turn();
  }
  if (items.length > 0) await turn();
  if (total !== null) await checkpoint.progress(1);
}

function checkCount(what: string, count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count > 0)) return;
  throw new TypeError(`${what} is ${JSON.stringify(count)}; give a whole number of rows from 1 on`);
}

function readPosition(name: string, stored: unknown, by: string | null): Position | undefined {
  if (stored === undefined) return undefined;
  const position = stored as Partial<Position> | null;
  if (typeof position === 'object' && position?.by === by && position.at !== undefined) return position as Position;
  const found =
    typeof position === 'object' && typeof position?.by === 'string' ? `one by ${position.by}` : 'of another kind';
  throw new TypeError(
    `${name} goes by ${by ?? 'cursors of its own'}, and the stored cursor is ${found}: give it a step of its own`,
  );
}
