import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { isUuid } from '../outbox/table';
import { dispatch } from '../queue/dispatch';
import { deadRecord, retriedRecord } from '../record/record';
import { describeJob, type JobEntry } from './entry';
import { inOrderOf, JobSet } from './job-set';
import type { Transition } from './move-script';
import type { RowCondition } from './outbox-rows';
import {
  type BulkOptions,
  type BulkResult,
  type BulkRun,
  type CheckedFilter,
  type CheckedRef,
  checkBounds,
  checkFilter,
  InvalidRequestError,
  type JobFilter,
  type JobPage,
  type Outlines,
  type PageRequest,
  readCursor,
  type Selection,
  type Sort,
  writeCursor,
} from './query';
import type { ScanPosition } from './scan-script';

const RETRY: Transition = { action: 'retry', to: 'queue' };
const MILLISECONDS = '(extract(epoch from died_at) * 1000)::float8';
const MOMENT = `timestamptz 'epoch' + ?::float8 * interval '1 millisecond'`;
const BY_TIME = 'died_at desc, queue, id';
const NEWEST_FIRST = [BY_TIME, 'died_at, queue desc, id desc'] as const;
const OLDEST_FIRST = ['died_at, queue desc, id desc', BY_TIME] as const;
/** Jobs that the outbox can hold: their ids are UUIDs and their records can be read. */
const DURABLE = `options is not null and id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`;

/**
 * Jobs that will not run again by themselves, newest first; at most 10,000 per queue, for at most 180 days. They are in
 * Postgres: no method needs Redis, except to retry jobs of plain bee-queue producers.
 */
export class DeadSet extends JobSet {
  readonly name = 'dead';
  protected override readonly notifies = true;

  protected override async sortedPage(request: PageRequest, sort: Sort): Promise<JobPage> {
    const { offset, limit, count } = checkBounds(request);
    const asked = { filter: checkFilter(request), order: sortedBy(sort), offset, limit, count };
    const { rows, total } = await readPage(this.sources.knex, asked);
    return { entries: rows.map(describe), total, complete: true, next: undefined };
  }

  protected async pageByTime(request: PageRequest): Promise<JobPage> {
    const { offset, limit, count } = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor(this.name, request.after);
    const [order, reverse] = request.sort?.descending === false ? OLDEST_FIRST : NEWEST_FIRST;
    const asked = { filter: checkFilter(request), after, order, reverse, offset, limit: limit + 1, count };
    const { rows, total } = await readPage(this.sources.knex, asked);
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const next = rows.length > limit && last ? writeCursor(this.name, last) : undefined;
    return { entries: shown.map(describe), total, complete: true, next };
  }

  async count(filter: JobFilter = {}): Promise<number> {
    return countDead(this.sources.knex, deadCondition(checkFilter(filter)));
  }

  size(): Promise<number> {
    return countDead(this.sources.knex, deadCondition(checkFilter({})));
  }

  /**
   * Puts jobs on the tails of their queues with all their attempts again. They are durable: their rows stay in the
   * outbox until their next outcome.
   */
  retryMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(RETRY, selection, options);
  }

  protected async readOutlines(filter: CheckedFilter, limit: number): Promise<Outlines> {
    const { sql, values } = deadCondition(filter);
    const { rows } = await this.sources.knex.raw<{ rows: OutlineRow[] }>(
      `select id, queue, class, error, attempts, ${MILLISECONDS} as at from ${TABLES.dead} where ${sql}
       order by ${BY_TIME} limit ?`,
      [...values, limit + 1],
    );
    const jobs = rows.slice(0, limit).map(({ class: name, error, ...row }) => {
      return { ...row, class: name || undefined, error: error || undefined };
    });
    return { jobs, complete: rows.length <= limit };
  }

  protected async entriesOf(refs: readonly CheckedRef[]): Promise<JobEntry[]> {
    return inOrderOf(refs, await findDead(this.sources.knex, refs));
  }

  protected async moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number> {
    await refuseAmbiguous(this.sources.knex, refs);
    return (await this.move(move, { condition: theseDead(refs), limit: refs.length, locked: 'for update' })).moved;
  }

  protected async moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    const { knex } = this.sources;
    // Jobs that die while this runs are left alone; the newest death bounds the move, so no clock matters.
    const { rows } = await knex.raw<{ rows: { readonly at: number | null }[] }>(
      `select ${MILLISECONDS} as at from ${TABLES.dead} order by died_at desc limit 1`,
    );
    const newest = rows[0]?.at ?? 0;
    const condition = deadCondition({ ...filter, until: Math.min(newest, filter.until ?? newest) });
    while (run.chunk > 0) {
      const limit = run.chunk;
      const { moved, chosen } = await this.move(move, { condition, limit, locked: 'for update skip locked' });
      run.add(moved);
      if (chosen < limit) return true;
    }
    return false;
  }

  private async move(move: Transition, choice: DeadChoice): Promise<Moved> {
    const { knex } = this.sources;
    if (move.action === 'delete') {
      const { rowCount } = await knex.raw<{ rowCount: number }>(`with ${gone(choice)} select from gone`, [
        ...choice.condition.values,
        choice.limit,
      ]);
      return { moved: rowCount, chosen: rowCount };
    }
    const durable = await retryDurable(knex, choice);
    const left = choice.limit - durable;
    if (left === 0) return { moved: durable, chosen: durable };
    const others = await this.retryOthers({ ...choice, limit: left });
    return { moved: durable + others.moved, chosen: durable + others.chosen };
  }

  /**
   * Retries jobs that the outbox cannot hold. They are dispatched before their rows are deleted; after a crash between
   * the two, Redis recognises the second dispatch.
   */
  private retryOthers({ condition, limit, locked }: DeadChoice): Promise<Moved> {
    const { knex, redis } = this.sources;
    return knex.transaction(async (trx: Knex.Transaction) => {
      const { rows } = await trx.raw<{ rows: DeadJobRow[] }>(
        `select ${ROW} from ${TABLES.dead} where ${condition.sql} and payload is not null and not (${DURABLE})
         order by ${BY_TIME} limit ? ${locked}`,
        [...condition.values, limit],
      );
      if (rows.length === 0) return { moved: 0, chosen: 0 };
      const jobs = rows.map(({ id, queue, payload, options, score }) => {
        const readyAt = Date.now();
        const known = payload ?? '';
        const record = options === null ? known : retriedRecord({ payload: known, options, readyAt, durable: false });
        return { id, queue, record, diedAt: score };
      });
      const states = await dispatch(redis, jobs);
      const these = theseDead(rows);
      await trx.raw(`delete from ${TABLES.dead} where ${these.sql}`, [...these.values]);
      return { moved: states.filter((state) => state !== 'ended').length, chosen: rows.length };
    });
  }
}

interface DeadChoice {
  readonly condition: RowCondition;
  readonly limit: number;
  /** Waits for rows that another transaction has locked, or skips them. */
  readonly locked: 'for update' | 'for update skip locked';
}

interface Moved {
  readonly moved: number;
  readonly chosen: number;
}

function gone({ condition, locked }: DeadChoice, also = 'true'): string {
  return `chosen as (
    select id, queue from ${TABLES.dead} where ${condition.sql} and ${also} order by ${BY_TIME} limit ? ${locked}
  ), gone as (
    delete from ${TABLES.dead} using chosen where ${TABLES.dead}.id = chosen.id and ${TABLES.dead}.queue = chosen.queue returning ${TABLES.dead}.*
  )`;
}

/** Moves rows to the outbox in one statement, without Redis. The relay's dispatch removes what Redis may still hold. */
async function retryDurable(knex: Knex, choice: DeadChoice): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly moved: number }[] }>(
    `with ${gone(choice, DURABLE)}, moved as (
       insert into ${TABLES.outbox} (id, queue, class, payload, options, died_at, run_at)
       select id::uuid, queue, class, payload, options, died_at,
         clock_timestamp() + row_number() over (order by died_at, id) * interval '1 microsecond'
       from gone
       on conflict (id) do update set
         (queue, class, payload, options, died_at, run_at, dispatched_at)
         = row (excluded.queue, excluded.class, excluded.payload, excluded.options, excluded.died_at, excluded.run_at, null)
       returning 1
     ) select count(*)::int as moved, pg_notify(?, '') from moved`,
    [...choice.condition.values, choice.limit, TABLES.channel],
  );
  return rows[0]?.moved ?? 0;
}

const ROW = `id, queue, payload, options, ${MILLISECONDS} as score`;

interface DeadJobRow {
  readonly id: string;
  readonly queue: string;
  readonly payload: string | null;
  readonly options: string | null;
  /** Time of death, ms since 1970. */
  readonly score: number;
}

interface OutlineRow {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  readonly error: string;
  readonly attempts: number;
  readonly at: number;
}

function describe({ id, queue, payload, options, score }: DeadJobRow): JobEntry {
  const text = payload === null || options === null ? (payload ?? undefined) : deadRecord(payload, options);
  return describeJob({ id, queue, set: 'dead', at: new Date(score), text });
}

interface AskedPage {
  readonly filter: CheckedFilter;
  readonly order: string;
  /** The reverse order, by which a page in the second half is read from the end; undefined: it never is. */
  readonly reverse?: string;
  /** The page begins after this position. */
  readonly after?: ScanPosition | undefined;
  readonly offset: number;
  readonly limit: number;
  readonly count: boolean;
}

interface ReadPage {
  readonly rows: readonly DeadJobRow[];
  readonly total: number | undefined;
}

async function readPage(
  knex: Knex,
  { filter, order, reverse, after, offset, limit, count }: AskedPage,
): Promise<ReadPage> {
  const condition = deadCondition(filter);
  const isSearch = filter.text !== undefined || filter.error !== undefined;
  const found = isSearch && count && !after && (await searchRows(knex, condition, order, offset, limit));
  if (found) return found;
  const total = count ? await countDead(knex, condition) : undefined;
  if (after) return { rows: await readRows(knex, startingAfter(condition, order, after), order, offset, limit), total };
  if (total === 0) return { rows: [], total };
  if (total === undefined || reverse === undefined || offset <= total / 2)
    return { rows: await readRows(knex, condition, order, offset, limit), total };
  const most = Math.min(limit, total - offset);
  const rows = most > 0 ? await readRows(knex, condition, reverse, total - offset - most, most) : [];
  return { rows: rows.reverse(), total };
}

function startingAfter({ sql, values }: RowCondition, order: string, { score, queue, id }: ScanPosition): RowCondition {
  const [later, next] = order === BY_TIME ? ['<', '>'] : ['>', '<'];
  return {
    sql: `${sql} and (died_at ${later} ${MOMENT} or died_at = ${MOMENT} and (queue, id) ${next} (?, ?))`,
    values: [...values, score, score, queue, id],
  };
}

/** The offset skips ids only, which an index holds, instead of whole rows. */
async function readRows(
  knex: Knex,
  { sql, values }: RowCondition,
  order: string,
  offset: number,
  limit: number,
): Promise<DeadJobRow[]> {
  const { rows } = await knex.raw<{ rows: DeadJobRow[] }>(
    `select ${ROW} from ${TABLES.dead} join (
       select id, queue from ${TABLES.dead} where ${sql} order by ${order} offset ? limit ?
     ) as page using (id, queue) order by ${order}`,
    [...values, offset, limit],
  );
  return rows;
}

/** Up to this many matches of a search are sorted after a scan; the first of more are found fast in time order. */
const MAX_FOUND = 5000;

/**
 * Reads a page and counts all matches in one pass over all rows, since no index serves a search for words.
 * @returns undefined when more than MAX_FOUND match.
 */
async function searchRows(
  knex: Knex,
  { sql, values }: RowCondition,
  order: string,
  offset: number,
  limit: number,
): Promise<ReadPage | undefined> {
  const { rows } = await knex.raw<{ rows: (DeadJobRow & { readonly total: number })[] }>(
    `with found as materialized (
       select id, queue, class, error, attempts, died_at from ${TABLES.dead} where ${sql} limit ?
     ), page as (
       select ${TABLES.dead}.* from ${TABLES.dead} join (
         select id, queue from found order by ${order} offset ? limit ?
       ) as these using (id, queue)
     )
     select total, ${ROW} from (select count(*)::int as total from found) as counted left join page on true
     order by ${order}`,
    [...values, MAX_FOUND + 1, offset, limit],
  );
  const total = rows[0]?.total ?? 0;
  return total > MAX_FOUND ? undefined : { rows: rows.filter(({ id }) => id !== null), total };
}

/** @returns the SQL order; rows that lack the key come last. */
function sortedBy({ by, descending }: Sort): string {
  const key = by === 'attempts' || by === 'queue' ? by : `nullif(${by}, '')`;
  return `${key} ${descending ? 'desc' : 'asc'} nulls last, died_at desc, id`;
}

async function countDead(knex: Knex, { sql, values }: RowCondition): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly count: number }[] }>(
    `select count(*)::int as count from ${TABLES.dead} where ${sql}`,
    [...values],
  );
  return rows[0]?.count ?? 0;
}

function deadCondition(filter: CheckedFilter): RowCondition {
  const parts: RowCondition[] = [];
  const add = (sql: string, ...values: Knex.RawBinding[]) => parts.push({ sql, values });
  const { queues, class: name, tag, error, text, since, until, failedSince } = filter;
  if (queues) add('queue = any(?::text[])', [...queues]);
  if (name !== undefined) add('class = ?', name);
  if (tag !== undefined) add('tags @> array[?]::text[]', tag);
  if (error !== undefined) add('strpos(messages, ?) > 0', error.toLowerCase());
  if (text !== undefined) {
    const plain = text.toLowerCase();
    const written = JSON.stringify(plain).slice(1, -1);
    const wanted = written === plain ? [plain] : [plain, written];
    const within = wanted.map(() => 'strpos(search, ?) > 0').join(' or ');
    add(`(strpos(messages, ?) > 0 or ${within})`, plain, ...wanted);
  }
  if (since !== undefined) add(`died_at >= ${MOMENT}`, since);
  if (until !== undefined) add(`died_at <= ${MOMENT}`, until);
  if (failedSince !== undefined) add(`(options::json #>> '{failures,0,at}')::float8 >= ?`, failedSince);
  return {
    sql: ['true', ...parts.map((part) => part.sql)].join(' and '),
    values: parts.flatMap((part) => part.values),
  };
}

function theseDead(refs: readonly { readonly id: string; readonly queue: string | undefined }[]): RowCondition {
  const anywhere = refs.filter(({ queue }) => queue === undefined).map(({ id }) => id);
  const known = refs.filter(({ queue }) => queue !== undefined);
  return {
    sql: `(id = any(?::text[]) or (id, queue) in (select * from unnest(?::text[], ?::text[])))`,
    values: [anywhere, known.map(({ id }) => id), known.map(({ queue }) => queue ?? '')],
  };
}

/** @returns those of these jobs that are dead. @throws InvalidRequestError for an ambiguous id. */
export async function findDead(knex: Knex, refs: readonly CheckedRef[]): Promise<JobEntry[]> {
  if (refs.length === 0) return [];
  await refuseAmbiguous(knex, refs);
  const { sql, values } = theseDead(refs);
  const { rows } = await knex.raw<{ rows: DeadJobRow[] }>(`select ${ROW} from ${TABLES.dead} where ${sql}`, [
    ...values,
  ]);
  return rows.map(describe);
}

/** @throws InvalidRequestError when an id without a queue belongs to dead jobs of several queues. */
async function refuseAmbiguous(knex: Knex, refs: readonly CheckedRef[]): Promise<void> {
  const ids = refs.filter(({ id, queue }) => queue === undefined && !isUuid(id)).map(({ id }) => id);
  if (ids.length === 0) return;
  const { rows } = await knex.raw<{ rows: { readonly id: string; readonly queues: readonly string[] }[] }>(
    `select id, array_agg(queue order by queue) as queues from ${TABLES.dead} where id = any(?::text[])
     group by id having count(*) > 1 limit 1`,
    [ids],
  );
  for (const { id, queues } of rows) {
    throw new InvalidRequestError(`job ${id} is in several queues (${queues.join(', ')}): say which one is meant`);
  }
}
