import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { CheckedFilter, JobOutline } from './query';
import type { ScanPosition } from './scan-script';

/** The key of a scheduled job. `at` is in µs since 1970, the precision of Postgres. */
export interface ScheduledKey {
  readonly at: number;
  readonly queue: string;
  readonly id: string;
}

export interface ScheduledRow extends ScheduledKey {
  /** null: the job is not in Postgres, but among `others`. */
  readonly payload: string | null;
}

/** Jobs of the same moment come in the order that scan-script.ts uses, so that both stores can be merged. */
const ORDER = 'at, queue collate "C", id collate "C"';
const NEWEST_FIRST = 'at desc, queue collate "C", id collate "C" desc';
const MICROSECONDS = '(extract(epoch from at) * 1000000)::bigint::text';
const MOMENT = `timestamptz 'epoch' + ?::float8 * interval '1 microsecond'`;

/**
 * Reads a page of rows, merged with jobs that are elsewhere, soonest first.
 * @param others at least the first `offset + limit` of the jobs elsewhere that follow `after`.
 */
export async function pageOfRows(
  knex: Knex,
  condition: RowCondition,
  page: {
    readonly after: ScanPosition | undefined;
    readonly offset: number;
    readonly limit: number;
    /** true: the latest moment comes first. Default false. */
    readonly newestFirst?: boolean;
  },
  others: readonly ScheduledKey[],
): Promise<ScheduledRow[]> {
  const { after, offset, limit, newestFirst = false } = page;
  const [order, following] = newestFirst ? [NEWEST_FIRST, FOLLOWING.newestFirst] : [ORDER, FOLLOWING.oldestFirst];
  const { rows } = await knex.raw<{ rows: { at: string; queue: string; id: string; payload: string | null }[] }>(
    `with page as (
       select at, queue, id, stored from (
         select run_at as at, queue, id::text as id, id as stored from ${TABLES.outbox} where ${condition.sql}
         ${others.length > 0 ? OTHERS : ''}
       ) as job ${after ? following : ''} order by ${order} offset ? limit ?
     )
     select ${MICROSECONDS} as at, queue, id, payload
     from page left join (select id as row, payload from ${TABLES.outbox}) as job on job.row = stored order by ${order}`,
    [
      ...condition.values,
      ...(others.length > 0
        ? [others.map((job) => job.at), others.map((job) => job.queue), others.map((job) => job.id)]
        : []),
      ...(after ? [after.score, after.score, after.queue, after.queue, after.id] : []),
      offset,
      limit,
    ],
  );
  return rows.map((row) => ({ ...row, at: Number(row.at) }));
}

const FOLLOWING = {
  oldestFirst: `where at > ${MOMENT} or at = ${MOMENT} and (queue collate "C" > ? or queue = ? and id collate "C" > ?)`,
  newestFirst: `where at < ${MOMENT} or at = ${MOMENT} and (queue collate "C" > ? or queue = ? and id collate "C" < ?)`,
};

const OTHERS = `union all
         select timestamptz 'epoch' + us * interval '1 microsecond', queue, id, null
         from unnest(?::float8[], ?::text[], ?::text[]) as other (us, queue, id)`;

/** Reads the outlines of matching rows, soonest first. */
export async function outlineRows(knex: Knex, { sql, values }: RowCondition, limit: number): Promise<JobOutline[]> {
  const { rows } = await knex.raw<{ rows: { id: string; queue: string; class: string; at: string }[] }>(
    `select id, queue, class, ${MICROSECONDS} as at
     from (select id, queue, class, run_at as at from ${TABLES.outbox} where ${sql} order by run_at, id limit ?) as job`,
    [...values, limit],
  );
  return rows.map((row) => ({ ...row, at: Number(row.at) / 1000, error: undefined, attempts: 0 }));
}

export async function countRows(knex: Knex, { sql, values }: RowCondition): Promise<number> {
  const { rows } = await knex.raw<{ rows: { count: string }[] }>(`select count(*) from ${TABLES.outbox} where ${sql}`, [
    ...values,
  ]);
  return Number(rows[0]?.count ?? 0);
}

/** Selects the rows that a move takes. */
export interface RowChoice {
  readonly condition: RowCondition;
  readonly limit: number;
  /** Whether to wait for rows that another transaction has locked, or to skip them. */
  readonly locked: 'wait' | 'skip';
  /** Rows created later, by the database's clock, are left alone. */
  readonly until?: string | undefined;
}

function chosen(
  { condition, limit, locked, until }: RowChoice,
  columns = 'id',
  also = 'true',
  alsoValues: readonly Knex.RawBinding[] = [],
) {
  // The condition's `now()` is the start of the statement; whoever held the lock may have made the row due since then.
  return {
    sql: `select ${columns} from ${TABLES.outbox}
      where ${condition.sql} and run_at > clock_timestamp() and (?::timestamptz is null or created_at <= ?::timestamptz) and ${also}
      order by run_at limit ? for update${locked === 'skip' ? ' skip locked' : ''}`,
    values: [...condition.values, until ?? null, until ?? null, ...alsoValues, limit],
  };
}

/** Makes rows due at once. @returns how many. */
export function runRows(knex: Knex, choice: RowChoice): Promise<number> {
  return changeRows(knex, chosen(choice), `update ${TABLES.outbox} set run_at = clock_timestamp()`, []);
}

/** Changes the time of rows; a unique job's claim is extended by as much. @param atMs ms since 1970. */
export function rescheduleRows(knex: Knex, choice: RowChoice, atMs: number): Promise<number> {
  const us = atMs * 1000;
  // A row that has this time already would be chosen by every chunk.
  const others = choice.locked === 'skip' ? ([`run_at <> ${MOMENT}`, [us]] as const) : (['true', []] as const);
  return changeRows(
    knex,
    chosen(choice, 'id', others[0], [...others[1]]),
    `update ${TABLES.outbox} set run_at = ${MOMENT}, unique_until = unique_until + (${MOMENT} - run_at)`,
    [us, us],
  );
}

async function changeRows(
  knex: Knex,
  choice: { readonly sql: string; readonly values: readonly Knex.RawBinding[] },
  update: string,
  values: readonly Knex.RawBinding[],
): Promise<number> {
  const { rows } = await knex.raw<{ rows: { moved: number }[] }>(
    `with chosen as (${choice.sql}), moved as (
       ${update} from chosen where ${TABLES.outbox}.id = chosen.id returning 1
     ) select count(*)::int as moved, pg_notify(?, '') from moved`,
    [...choice.values, ...values, TABLES.channel],
  );
  return rows[0]?.moved ?? 0;
}

export async function deleteScheduledRows(knex: Knex, choice: RowChoice): Promise<number> {
  const { sql, values } = chosen(choice);
  const result = await knex.raw<{ rowCount: number }>(
    `with chosen as (${sql}) delete from ${TABLES.outbox} using chosen where ${TABLES.outbox}.id = chosen.id`,
    values,
  );
  return result.rowCount;
}

export interface LockedRow {
  readonly id: string;
  readonly queue: string;
  readonly payload: string;
}

/** Locks rows until the transaction ends, so that nobody else moves them meanwhile. */
export async function lockRows(trx: Knex.Transaction, choice: RowChoice): Promise<LockedRow[]> {
  const { sql, values } = chosen(choice, 'id, queue, payload');
  return (await trx.raw<{ rows: LockedRow[] }>(sql, values)).rows;
}

/** @returns the time by the database's clock, as text. */
export async function databaseTime(knex: Knex): Promise<string> {
  const { rows } = await knex.raw<{ rows: { now: string }[] }>('select clock_timestamp()::text as now');
  return rows[0]?.now ?? 'infinity';
}

export interface OutboxJob extends ScheduledKey {
  readonly payload: string;
  /** The other part of the record, if the job was dead and has been retried; otherwise null. */
  readonly options: string | null;
  readonly isDue: boolean;
}

/** Finds the row of a job that has no outcome yet, whether it was dispatched or not. */
export async function findRow(knex: Knex, id: string): Promise<OutboxJob | undefined> {
  const { rows } = await knex.raw<{ rows: (Omit<OutboxJob, 'at'> & { readonly at: string })[] }>(
    `select ${MICROSECONDS} as at, queue, id, payload, options, due as "isDue" from (
       select run_at as at, queue, id, payload, options, dispatched_at is not null or run_at <= now() as due
       from ${TABLES.outbox} where id = ?::uuid
     ) as job`,
    [id],
  );
  const [row] = rows;
  return row && { ...row, at: Number(row.at) };
}

/** A condition on rows of `job_outbox`, with its bindings. */
export interface RowCondition {
  readonly sql: string;
  readonly values: readonly Knex.RawBinding[];
}

/** Rows that are not dispatched yet and not due. It uses `now()`, which is stable, so that an index can serve it. */
export const SCHEDULED = 'dispatched_at is null and run_at > now()';

/**
 * The counterpart in SQL of filter-script.ts. A text is searched for in the whole payload first, so that few rows must
 * be parsed.
 */
export function rowCondition(filter: CheckedFilter): RowCondition {
  const parts: RowCondition[] = [{ sql: SCHEDULED, values: [] }];
  const { queues, class: name, tag, error, text, since, until, failedSince } = filter;
  if (queues) parts.push({ sql: 'queue = any(?::text[])', values: [[...queues]] });
  if (name !== undefined) parts.push({ sql: 'class = ?', values: [name] });
  if (tag !== undefined) {
    const exists = `exists (select from json_array_elements_text(payload::json -> 'tags') as tag (name) where name = ?)`;
    parts.push({ sql: `strpos(payload, ?) > 0 and ${exists}`, values: [JSON.stringify(tag), tag] });
  }
  // Scheduled jobs have not run yet, so they have no errors.
  if (error !== undefined || failedSince !== undefined) parts.push({ sql: 'false', values: [] });
  if (text !== undefined) parts.push(textCondition(text));
  if (since !== undefined) parts.push({ sql: 'run_at >= ?::timestamptz', values: [new Date(since).toISOString()] });
  if (until !== undefined) parts.push({ sql: 'run_at <= ?::timestamptz', values: [new Date(until).toISOString()] });
  return { sql: parts.map((part) => `(${part.sql})`).join(' and '), values: parts.flatMap((part) => part.values) };
}

/** @returns the condition for scheduled rows of these ids. */
export function theseRows(ids: readonly string[], queues?: readonly string[]): RowCondition {
  const these = { sql: `${SCHEDULED} and id = any(?::uuid[])`, values: [[...ids]] };
  return queues ? { sql: `${these.sql} and queue = any(?::text[])`, values: [...these.values, [...queues]] } : these;
}

const WITHIN = [
  `payload::json -> 'args'`,
  `payload::json -> 'tags'`,
  `payload::json -> 'attrs' -> 'requestId'`,
  `payload::json -> 'attrs' -> 'attributes'`,
].map((part) => `lower((${part})::text) like any (?)`);

function textCondition(text: string): RowCondition {
  const plain = plainTerms(text).map(likePattern);
  const encoded = jsonTerms(text).map(likePattern);
  return {
    sql: `lower(id::text) like any (?) or lower(class) like any (?) or lower(payload) like any (?) and (${WITHIN.join(' or ')})`,
    values: [plain, plain, encoded, ...WITHIN.map(() => encoded)],
  };
}

function likePattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}

/** A text to search for without regard to case, as filter-script.ts takes it. */
export interface SearchTerm {
  /** In lower case. */
  readonly text: string;
  /** Length of `text`, in bytes. */
  readonly length: number;
  /** All upper- and lower-case forms of a part of the text that occurs rarely. */
  readonly parts: readonly string[];
  /** Offset of that part in the text, in bytes. */
  readonly offset: number;
}

/** Characters of JSON and of stack traces, the most frequent first; others are rarer still. */
const FREQUENT = ' etaonisrl/"0:.,1d2cu345678h9mpfgb_-{}[]wyvkxjqz';
const LONGEST_PART = 4;
const MOST_LETTERS = 2;

/**
 * @returns the texts to search for. Lua lowers only A to Z, so words with other capitals are searched in both cases.
 */
export function plainTerms(text: string): string[] {
  return [...new Set([text.toLowerCase(), asciiLower(text.toUpperCase()), asciiLower(text)])];
}

/** The same for JSON: escaped as within a string, and as given, for somebody who types `"userId":7`. */
export function jsonTerms(text: string): string[] {
  const terms = plainTerms(text);
  return [...new Set([...terms.map((term) => JSON.stringify(term).slice(1, -1)), ...terms])];
}

/** Chooses the rarest part of a text, since only that is searched for in each record. */
export function toSearchTerm(text: string): SearchTerm {
  const characters = Array.from(text);
  let best = { start: 0, part: characters.slice(0, 1), rarity: -1 };
  for (let start = 0; start < characters.length; start++) {
    for (let length = 1; length <= LONGEST_PART && start + length <= characters.length; length++) {
      const part = characters.slice(start, start + length);
      const rarity = part.reduce((sum, character) => sum + rarityOf(character), 0);
      if (part.filter(isLetter).length <= MOST_LETTERS && rarity > best.rarity) best = { start, part, rarity };
    }
  }
  const before = characters.slice(0, best.start).join('');
  return { text, length: Buffer.byteLength(text), parts: formsOf(best.part), offset: Buffer.byteLength(before) };
}

function rarityOf(character: string): number {
  const place = FREQUENT.indexOf(character);
  return 4 + (place < 0 ? FREQUENT.length : place);
}

function isLetter(character: string): boolean {
  return /^[a-z]$/i.test(character);
}

/** @returns the part with each of its letters in lower and in upper case. */
function formsOf(part: readonly string[]): string[] {
  return part.reduce<string[]>(
    (forms, character) =>
      forms.flatMap((form) =>
        isLetter(character) ? [form + character, form + character.toUpperCase()] : [form + character],
      ),
    [''],
  );
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
