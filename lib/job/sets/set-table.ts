import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { isUuid } from '../../support/uuid';
import { SEARCH } from '../row/dead';
import type { SetName } from './entry';
import type { CheckedFilter, CheckedRef, Sort } from './query';

/** A part of an SQL statement, with its bindings. */
export interface Sql {
  readonly sql: string;
  readonly values: readonly Knex.RawBinding[];
}

/** What a set is in Postgres. */
export interface SetTable {
  readonly table: () => string;
  /** The column that orders it. */
  readonly time: 'run_at' | 'died_at';
  /** Its rows among those of the table. */
  readonly where: Sql;
  /** SQL of the text that a search covers besides the messages. */
  readonly searched: (word: string) => Sql;
  /** The order without a request for another. */
  readonly newestFirst: boolean;
}

const inQueue = (state: string): Sql => ({ sql: `state = '${state}'`, values: [] });

/** The payload is looked at as a whole first, since few rows need to be taken apart then. */
const searchedRow = (word: string): Sql => ({
  sql: `(strpos(lower(payload::text), lower(?)) > 0
      or strpos(lower(concat_ws(E'\\n', id::text, class, array_to_string(tags, E'\\n')) collate "default"), lower(?)) > 0)
    and strpos(${SEARCH}, lower(?)) > 0`,
  values: [word, word, word],
});

const searchedDead = (word: string): Sql => ({ sql: 'strpos(search, lower(?)) > 0', values: [word] });

/** The sets of jobs that operators see. */
export const SET_TABLES: Readonly<Record<SetName, SetTable>> = {
  waiting: queueTable(inQueue('ready')),
  active: queueTable(inQueue('running')),
  blocked: queueTable(inQueue('held')),
  retry: queueTable({ sql: `state = 'scheduled' and attempts > 0`, values: [] }),
  scheduled: queueTable({ sql: `state = 'scheduled' and attempts = 0`, values: [] }),
  dead: {
    table: () => TABLES.dead,
    time: 'died_at',
    where: { sql: 'true', values: [] },
    searched: searchedDead,
    newestFirst: true,
  },
};

function queueTable(where: Sql): SetTable {
  return { table: () => TABLES.jobs, time: 'run_at', where, searched: searchedRow, newestFirst: false };
}

const MOMENT = `timestamptz 'epoch' + ?::float8 * interval '1 millisecond'`;

/** @returns the condition for the jobs of a set that match. */
export function matching({ where, time, searched }: SetTable, filter: CheckedFilter): Sql {
  const parts: Sql[] = [where];
  const add = (sql: string, ...values: Knex.RawBinding[]) => parts.push({ sql, values });
  const { queues, class: name, tag, error, text, since, until, failedSince } = filter;
  if (queues) add('queue = any(?::text[])', [...queues] as unknown as Knex.RawBinding);
  if (name !== undefined) add('class = ?', name);
  if (tag !== undefined) add(`tags @> array[?]::text[] and tags <> '{}'`, tag);
  if (error !== undefined) add('strpos(messages, ?) > 0', error.toLowerCase());
  if (text !== undefined) parts.push(textCondition(text, searched));
  if (since !== undefined) add(`${time} >= ${MOMENT}`, since);
  if (until !== undefined) add(`${time} <= ${MOMENT}`, until);
  if (failedSince !== undefined) add(`(history #>> '{failures,0,at}')::float8 >= ?`, failedSince);
  return and(parts);
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

/** @returns the condition for these jobs of a set. */
export function these({ where }: SetTable, given: readonly CheckedRef[]): Sql {
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

/** @returns the SQL order; rows that lack the key come last. Jobs of the same key are ordered by time, newest first. */
export function orderOf({ time, newestFirst }: SetTable, sort: Sort | undefined): string {
  if (sort === undefined || sort.by === 'at') {
    const direction = (sort?.descending ?? newestFirst) ? 'desc' : 'asc';
    return `${time} ${direction}, id ${direction === 'desc' && !newestFirst ? 'desc' : 'asc'}`;
  }
  const { by, descending } = sort;
  const key = by === 'error' ? `nullif(error, '')` : by;
  return `${key} ${descending ? 'desc' : 'asc'} nulls last, ${time} desc, id`;
}
