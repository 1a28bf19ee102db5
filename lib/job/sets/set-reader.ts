import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { isUuid } from '../../support/uuid';
import { SEARCH } from '../row/dead';
import { describeRow, type EntryRow, type JobEntry, type SetName } from './entry';
import {
  type CheckedFilter,
  type CheckedRef,
  checkBounds,
  checkFilter,
  checkRef,
  type JobFilter,
  type JobPage,
  type JobRef,
  type PageRequest,
} from './query';

/** A part of an SQL statement, with its bindings. */
export interface Sql {
  readonly sql: string;
  readonly values: readonly Knex.RawBinding[];
}

export interface SetTable {
  readonly table: () => string;
  /** The set's order, which is that of an index. So waiting jobs are shown queue by queue. */
  readonly order: string;
  /** The order of the jobs of one class, which may all be in the last queue. Default: `order`. */
  readonly orderOfClass?: string;
  /** The column of the times that the set shows. */
  readonly time: 'run_at' | 'claimed_at' | 'died_at' | 'finished_at';
  /** The condition for the set's rows in the table. */
  readonly where: Sql;
  /**
   * How many of the newest jobs a search reads that one index finds, by a tag or otherwise; the other conditions are for each of
   * them. Default: MAX_READ that meet all conditions but the text, in any order.
   */
  readonly reads?: { readonly tag: number; readonly other: number };
  /** SQL of the text that a search covers besides the messages. */
  readonly searched: (word: string) => Sql;
}

export const EVERY_JOB: Sql = { sql: 'true', values: [] };

const inQueue = (state: string): Sql => ({ sql: `state = '${state}'`, values: [] });

/**
 * Looks at the payload as a whole first, since few rows need to be taken apart then. A word of ASCII is searched without a
 * language's rules for case, which take longer than the search.
 */
const searchedRow = (word: string): Sql => {
  const collation = /^[ -~]*$/.test(word) ? 'collate "C"' : 'collate "default"';
  return {
    sql: `(strpos(lower(payload::text ${collation}), lower(?)) > 0
        or strpos(lower(concat_ws(E'\\n', id::text, class, array_to_string(tags, E'\\n')) ${collation}), lower(?)) > 0)
      and strpos(${SEARCH}, lower(?)) > 0`,
    values: [word, word, word],
  };
};

const searchedDead = (word: string): Sql => ({ sql: 'strpos(search, lower(?)) > 0', values: [word] });

export const SET_TABLES: Readonly<Record<SetName, SetTable>> = {
  waiting: { ...queueTable(inQueue('ready')), order: 'queue, run_at, id', orderOfClass: 'run_at, id' },
  active: { ...queueTable(inQueue('running')), order: 'claimed_at, id', time: 'claimed_at' },
  blocked: queueTable(inQueue('held')),
  retry: queueTable({ sql: `state = 'scheduled' and attempts > 0`, values: [] }),
  scheduled: queueTable({ sql: `state = 'scheduled' and attempts = 0`, values: [] }),
  dead: {
    table: () => TABLES.dead,
    order: 'died_at desc, id',
    time: 'died_at',
    where: EVERY_JOB,
    searched: searchedDead,
  },
  finished: {
    table: () => TABLES.finished,
    order: 'finished_at desc, id',
    time: 'finished_at',
    where: EVERY_JOB,
    searched: searchedDead,
    // There may be millions.
    reads: { tag: 500, other: 5000 },
  },
};

/** Whether jobs come into the set at their end. */
export const isOfEnded = ({ time }: Pick<SetTable, 'time'>): boolean => time === 'died_at' || time === 'finished_at';

function queueTable(where: Sql): SetTable {
  const table = () => TABLES.jobs;
  return { table, order: 'run_at, id', time: 'run_at', where, searched: searchedRow };
}

const MOMENT = `timestamptz 'epoch' + ?::float8 * interval '1 millisecond'`;

/** The condition for the jobs of a set that match, in two parts. */
interface Conditions {
  /** The part that columns and indexes answer. In a set that says `reads` one index answers it, in the set's order. */
  readonly columns: Sql;
  /** The part that looks at each job. */
  readonly each: Sql | undefined;
}

function conditionsFor({ where, time, searched, reads }: SetTable, filter: CheckedFilter): Conditions {
  const columns: Sql[] = [where];
  const texts: Sql[] = [];
  const { queues, class: name, tag, batch, error, text, since, until } = filter;
  const add = (sql: string, ...values: Knex.RawBinding[]) => columns.push({ sql, values });
  // Postgres misjudges how many jobs match two of these together, and reads the whole set for a page.
  let isFirst = true;
  const choose = (sql: string, value: Knex.RawBinding, hasOrder = true) => {
    if (reads && !(isFirst && hasOrder)) return texts.push({ sql, values: [value] });
    isFirst = false;
    return add(sql, value);
  };
  if (batch !== undefined) choose('batch_id = ?::uuid', batch);
  // The indexes of the other sets are for jobs with tags. Here Postgres would take the two for a rare pair.
  if (tag !== undefined) choose(`tags @> array[?]::text[]${reads ? '' : ` and tags <> '{}'`}`, tag);
  if (name !== undefined) choose('class = ?', name);
  if (queues?.length === 1) choose('queue = ?', queues[0] as string);
  else if (queues) choose('queue = any(?::text[])', [...queues] as unknown as Knex.RawBinding, false);
  if (since !== undefined) add(`${time} >= ${MOMENT}`, since);
  if (until !== undefined) add(`${time} <= ${MOMENT}`, until);
  if (error !== undefined) texts.push({ sql: 'strpos(messages, ?) > 0', values: [error.toLowerCase()] });
  if (text !== undefined) texts.push(textCondition(text, searched));
  return { columns: and(columns), each: texts.length > 0 ? and(texts) : undefined };
}

export function matching(set: SetTable, filter: CheckedFilter): Sql {
  const { columns, each } = conditionsFor(set, filter);
  return each ? and([columns, each]) : columns;
}

export function and(parts: readonly Sql[]): Sql {
  return { sql: parts.map(({ sql }) => `(${sql})`).join(' and '), values: parts.flatMap(({ values }) => values) };
}

/** Within JSON some characters are escaped; somebody may also type `"userId":7`. */
function textCondition(text: string, searched: SetTable['searched']): Sql {
  const escaped = JSON.stringify(text).slice(1, -1);
  const within = [...new Set([text, escaped])].map(searched);
  return {
    sql: [`strpos(coalesce(messages, ''), ?) > 0`, ...within.map(({ sql }) => `(${sql})`)].join(' or '),
    values: [text.toLowerCase(), ...within.flatMap(({ values }) => values)],
  };
}

export function these({ where }: Pick<SetTable, 'where'>, given: readonly CheckedRef[]): Sql {
  // Nothing else is the id of a job.
  const refs = given.filter(({ id }) => isUuid(id));
  const ids = refs.map(({ id }) => id);
  const queues = refs.map(({ queue }) => queue ?? null);
  return and([
    where,
    {
      sql: `exists (select from unnest(?::uuid[], ?::text[]) as ref (its, name) where its = id and (name is null or name = queue))`,
      values: [ids, queues] as unknown as Knex.RawBinding[],
    },
    { sql: 'id = any(?::uuid[])', values: [ids] as unknown as Knex.RawBinding[] },
  ]);
}

/** Counts end here, so that they stay fast. */
export const MAX_COUNTED = 10_000;

/** A page that no index has in its order, such as that of a search, is one of this many jobs at most. Some sets say `reads`. */
const MAX_READ = 100_000;

/** A row of a page, or, if it has none, only what is said of all pages. */
type PageRow = { readonly total: number | null; readonly partial: boolean } & (EntryRow | { readonly id: null });

/** SQL: the number of jobs of a set, up to 10,000. */
export function countSql(name: SetName): string {
  const { table, where } = SET_TABLES[name];
  return `(select count(*)::int from (select 1 from ${table()} where ${where.sql} limit ${MAX_COUNTED}) as counted)`;
}

/** Counts the jobs of a set, up to 10,000. @throws errors of Postgres. */
export async function countSet(knex: Knex, name: SetName): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly count: number }[] }>(`select ${countSql(name)} as count`);
  return rows[0]?.count ?? 0;
}

/** Longer payloads are not read for a list, bytes: a page of large ones would fill the memory of its process. */
const MAX_LISTED = 65_536;

/** What an entry needs of a row. @param time SQL of its time. @param identity SQL of the processor that runs it. */
export const entryColumns = (time: string, identity: string): string =>
  `id, queue, class, tags, priority, attempts, history::text, progress::text,
   (extract(epoch from ${time}) * 1000)::float8 as at, ${identity} as identity, octet_length(payload::text) as bytes,
   ${/^(?:died|finished)_at$/.test(time) ? 'null::text' : 'cancel_reason'} as "cancelReason"`;

const columnsOf = ({ time }: SetTable) => entryColumns(time, time === 'claimed_at' ? 'claimed_by' : 'null');

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
    const filter = checkFilter(request);
    const { columns, each } = conditionsFor(this.set, filter);
    const { time, orderOfClass, reads } = this.set;
    const most = reads?.[filter.tag !== undefined && filter.batch === undefined ? 'tag' : 'other'] ?? MAX_READ;
    const order = (filter.class !== undefined && orderOfClass) || this.set.order;
    const table = this.set.table();
    const isOrdered = each === undefined && filter.tag === undefined;
    const source = isOrdered
      ? { from: table, where: columns }
      : { from: 'found', where: { sql: 'matches', values: [] } };
    // Counts of large sets are told the order, too: it lets Postgres read an index alone, which has no queue.
    const byIndex = reads ? `order by ${order}` : '';
    const { rows } = await this.knex.raw<{ rows: PageRow[] }>(
      `with found as materialized (
         select id, ${reads ? '' : 'queue, '}${time}, ${(each ?? EVERY_JOB).sql} as matches
         from (select * from ${table} where ${columns.sql} ${byIndex} limit ${most}) as read
       ), first as (
         select id, row_number() over (order by ${order}) as position
         from (select * from ${source.from} where ${source.where.sql} order by ${order} limit ?) as jobs
       ), page as (
         select ${columnsOf(this.set)}, case when octet_length(payload::text) <= ? then payload::text end as payload, position
         from first join ${table} using (id) where position > ?
       )
       select extent.*, page.* from (select
         (select case when ? then count(*)::int end from (
           select from ${source.from} where ${source.where.sql} ${isOrdered ? byIndex : ''} limit ?
         ) as counted) as total,
         ${isOrdered ? 'false' : `(select count(*) = ${most} from found)`} as partial
       ) as extent left join page on true order by position`,
      [
        ...(each ?? EVERY_JOB).values,
        ...columns.values,
        ...source.where.values,
        offset + limit,
        MAX_LISTED,
        offset,
        count,
        ...source.where.values,
        count ? MAX_COUNTED + 1 : 0,
      ],
    );
    const { total, partial } = rows[0] ?? { total: 0, partial: false };
    const entries = rows.flatMap((row) => (row.id === null ? [] : row));
    return {
      entries: entries.map((row) => describeRow(this.name, row)),
      total: total === null ? undefined : Math.min(total, MAX_COUNTED),
      complete: !partial && (total === null || total <= MAX_COUNTED),
      isPartial: partial,
      mostRead: most,
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
         select class, error from ${this.set.table()} where ${where.sql} order by ${this.set.order} limit ?
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
}
