import type { Knex } from 'knex';
import { describeRow, type EntryRow, type JobEntry, type SetName } from './entry';
import {
  checkBounds,
  checkFilter,
  checkRef,
  checkSort,
  type JobFilter,
  type JobPage,
  type JobRef,
  type PageRequest,
  readCursor,
  writeCursor,
} from './query';
import { MAX_COUNTED } from './set-size';
import { and, matching, orderOf, SET_TABLES, type SetTable, type Sql, these } from './set-table';

/** Longer payloads are not read for a list, bytes: a page of large ones would fill the memory of its process. */
const MAX_LISTED = 65_536;

/** What an entry needs of a row. */
const columnsOf = ({ time }: Pick<SetTable, 'time'>) =>
  `id, queue, class, tags, attempts, history::text, progress::text, ${time}::text as time,
   (extract(epoch from ${time}) * 1000)::float8 as at, octet_length(payload::text) as bytes`;

/**
 * Reads a set of jobs. All methods throw InvalidRequestError for an invalid request, and errors of Postgres.
 */
export class SetReader {
  protected readonly set: SetTable;

  constructor(
    protected readonly knex: Knex,
    readonly name: SetName,
  ) {
    this.set = SET_TABLES[name];
  }

  /** Reads a page, and counts the matching jobs unless `count` is false. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const { offset, limit, count } = checkBounds(request);
    const condition = matching(this.set, checkFilter(request));
    const sort = checkSort(request);
    const total = count ? await this.counted(condition) : undefined;
    const order = orderOf(this.set, sort);
    const after = request.after === undefined ? undefined : this.following(request.after, order);
    const { sql, values } = after ? and([condition, after]) : condition;
    const { rows } = await this.knex.raw<{ rows: EntryRow[] }>(
      `select ${columnsOf(this.set)}, case when octet_length(payload::text) <= ? then payload::text end as payload
       from ${this.set.table()} join (
         select id from ${this.set.table()} where ${sql} order by ${order} offset ? limit ?
       ) as page using (id) order by ${order}`,
      [MAX_LISTED, ...values, offset, limit + 1],
    );
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      entries: shown.map((row) => describeRow(this.name, row)),
      total: total && Math.min(total, MAX_COUNTED),
      complete: total === undefined || total <= MAX_COUNTED,
      next: rows.length > limit && last ? writeCursor(this.name, last) : undefined,
    };
  }

  /** Counts matching jobs, up to 10,000. */
  async count(filter: JobFilter = {}): Promise<number> {
    return Math.min(MAX_COUNTED, await this.counted(matching(this.set, checkFilter(filter))));
  }

  /** @returns the entries of those jobs that are in the set, in the order given. */
  async entries(refs: readonly JobRef[]): Promise<JobEntry[]> {
    const checked = refs.map(checkRef);
    const { sql, values } = these(this.set, checked);
    const { rows } = await this.knex.raw<{ rows: EntryRow[] }>(
      `select ${columnsOf(this.set)}, payload::text from ${this.set.table()} where ${sql}`,
      [...values],
    );
    const entries = rows.map((row) => describeRow(this.name, row));
    return checked.flatMap(({ id }) => entries.find((entry) => entry.id === id.toLowerCase()) ?? []);
  }

  /** Counts matching jobs by class, of the first 10,000. */
  async classes(filter: JobFilter = {}): Promise<readonly { readonly name: string; readonly count: number }[]> {
    const { sql, values } = matching(this.set, checkFilter(filter));
    const { rows } = await this.knex.raw<{ rows: { readonly name: string; readonly count: number }[] }>(
      `select class as name, count(*)::int as count from (
         select class from ${this.set.table()} where ${sql} limit ?
       ) as counted group by class order by count desc, class`,
      [...values, MAX_COUNTED],
    );
    return rows;
  }

  /** @returns the classes and the errors' names of the first jobs, for those who choose among them. */
  async sample(limit: number): Promise<{ readonly classes: readonly string[]; readonly errors: readonly string[] }> {
    const { where } = this.set;
    const { rows } = await this.knex.raw<{ rows: { readonly class: string; readonly error: string | null }[] }>(
      `select distinct class, error from (
         select class, error from ${this.set.table()} where ${where.sql} order by ${orderOf(this.set, undefined)} limit ?
       ) as first`,
      [...where.values, limit],
    );
    return { classes: rows.map((row) => row.class), errors: rows.flatMap(({ error }) => error || []) };
  }

  private async counted({ sql, values }: Sql): Promise<number> {
    const { rows } = await this.knex.raw<{ rows: { readonly count: number }[] }>(
      `select count(*)::int as count from (select 1 from ${this.set.table()} where ${sql} limit ?) as counted`,
      [...values, MAX_COUNTED + 1],
    );
    return rows[0]?.count ?? 0;
  }

  /** The jobs that follow a position in this order. */
  private following(cursor: string, order: string): Sql {
    const { time, id } = readCursor(this.name, cursor);
    const [first = '', second = ''] = order.split(', ');
    const sign = (part: string) => (part.endsWith('desc') ? '<' : '>');
    return {
      sql: `${this.set.time} ${sign(first)} ?::timestamptz or ${this.set.time} = ?::timestamptz and id ${sign(second)} ?::uuid`,
      values: [time, time, id],
    };
  }
}
