import type { Knex } from 'knex';
import { CHANNEL } from '../outbox/table';
import type { CheckedFilter, JobOutline } from './query';
import type { ScanPosition } from './scan-script';

/** A job of the scheduled set. Moments are in µs since 1970, as Postgres keeps them. */
export interface ScheduledKey {
  readonly at: number;
  readonly queue: string;
  readonly id: string;
}

export interface ScheduledRow extends ScheduledKey {
  /** null: it is not in Postgres, but among `others`. */
  readonly payload: string | null;
}

/** As scan-script.ts orders jobs of the same time. */
const ORDER = 'at, queue collate "C", id collate "C"';
const NEWEST_FIRST = 'at desc, queue collate "C", id collate "C" desc';
const MICROSECONDS = '(extract(epoch from at) * 1000000)::bigint::text';
const MOMENT = `timestamptz 'epoch' + ?::float8 * interval '1 microsecond'`;

/**
 * A page of rows, merged with jobs that are elsewhere, soonest first.
 * @param others the first `offset + limit` of them behind `after`, at least.
 */
export async function pageOfRows(
  knex: Knex,
  condition: RowCondition,
  page: {
    readonly after: ScanPosition | undefined;
    readonly offset: number;
    readonly limit: number;
    /** The last ones first. Default false. */
    readonly newestFirst?: boolean;
  },
  others: readonly ScheduledKey[],
): Promise<ScheduledRow[]> {
  const { after, offset, limit, newestFirst = false } = page;
  const order = newestFirst ? NEWEST_FIRST : ORDER;
  const { rows } = await knex.raw<{ rows: { at: string; queue: string; id: string; payload: string | null }[] }>(
    `with page as (
       select at, queue, id, stored from (
         select run_at as at, queue, id::text as id, id as stored from job_outbox where ${condition.sql}
         ${others.length > 0 ? OTHERS : ''}
       ) as job ${after ? BEHIND[newestFirst ? 'newestFirst' : 'oldestFirst'] : ''} order by ${order} offset ? limit ?
     )
     select ${MICROSECONDS} as at, queue, id, payload
     from page left join (select id as row, payload from job_outbox) as job on job.row = stored order by ${order}`,
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

const BEHIND = {
  oldestFirst: `where at > ${MOMENT} or at = ${MOMENT} and (queue collate "C" > ? or queue = ? and id collate "C" > ?)`,
  newestFirst: `where at < ${MOMENT} or at = ${MOMENT} and (queue collate "C" > ? or queue = ? and id collate "C" < ?)`,
};

const OTHERS = `union all
         select timestamptz 'epoch' + us * interval '1 microsecond', queue, id, null
         from unnest(?::float8[], ?::text[], ?::text[]) as other (us, queue, id)`;

/** The soonest first. */
export async function outlineRows(knex: Knex, { sql, values }: RowCondition, limit: number): Promise<JobOutline[]> {
  const { rows } = await knex.raw<{ rows: { id: string; queue: string; class: string; at: string }[] }>(
    `select id, queue, class, ${MICROSECONDS} as at
     from (select id, queue, class, run_at as at from job_outbox where ${sql} order by run_at, id limit ?) as job`,
    [...values, limit],
  );
  return rows.map((row) => ({ ...row, at: Number(row.at) / 1000, error: undefined, attempts: 0 }));
}

export async function countRows(knex: Knex, { sql, values }: RowCondition): Promise<number> {
  const { rows } = await knex.raw<{ rows: { count: string }[] }>(`select count(*) from job_outbox where ${sql}`, [
    ...values,
  ]);
  return Number(rows[0]?.count ?? 0);
}

/** Which rows a move takes. */
export interface RowChoice {
  readonly condition: RowCondition;
  readonly limit: number;
  /** Rows that another operator has in hand: wait for them, or pass them over. */
  readonly locked: 'wait' | 'pass over';
  /** Rows created later are left alone; by the database's clock. */
  readonly until?: string | undefined;
}

function chosen(
  { condition, limit, locked, until }: RowChoice,
  columns = 'id',
  also = 'true',
  alsoValues: readonly Knex.RawBinding[] = [],
) {
  // `now()` of the condition is the beginning of the statement: whoever was waited for may have made the row due since.
  return {
    sql: `select ${columns} from job_outbox
      where ${condition.sql} and run_at > clock_timestamp() and (?::timestamptz is null or created_at <= ?::timestamptz) and ${also}
      order by run_at limit ? for update${locked === 'pass over' ? ' skip locked' : ''}`,
    values: [...condition.values, until ?? null, until ?? null, ...alsoValues, limit],
  };
}

/** They are due at once. @returns how many. */
export function runRows(knex: Knex, choice: RowChoice): Promise<number> {
  return changeRows(knex, chosen(choice), 'update job_outbox set run_at = clock_timestamp()', []);
}

/** A unique job's claim lasts as much longer as its wait. @param atMs since 1970. */
export function rescheduleRows(knex: Knex, choice: RowChoice, atMs: number): Promise<number> {
  const us = atMs * 1000;
  // Those that are there already would be chosen again and again.
  const others = choice.locked === 'pass over' ? ([`run_at <> ${MOMENT}`, [us]] as const) : (['true', []] as const);
  return changeRows(
    knex,
    chosen(choice, 'id', others[0], [...others[1]]),
    `update job_outbox set run_at = ${MOMENT}, unique_until = unique_until + (${MOMENT} - run_at)`,
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
       ${update} from chosen where job_outbox.id = chosen.id returning 1
     ) select count(*)::int as moved, pg_notify(?, '') from moved`,
    [...choice.values, ...values, CHANNEL],
  );
  return rows[0]?.moved ?? 0;
}

export async function deleteScheduledRows(knex: Knex, choice: RowChoice): Promise<number> {
  const { sql, values } = chosen(choice);
  const result = await knex.raw<{ rowCount: number }>(
    `with chosen as (${sql}) delete from job_outbox using chosen where job_outbox.id = chosen.id`,
    values,
  );
  return result.rowCount;
}

export interface LockedRow {
  readonly id: string;
  readonly queue: string;
  readonly payload: string;
}

/** Nobody else moves them until the transaction ends. */
export async function lockRows(trx: Knex.Transaction, choice: RowChoice): Promise<LockedRow[]> {
  const { sql, values } = chosen(choice, 'id, queue, payload');
  return (await trx.raw<{ rows: LockedRow[] }>(sql, values)).rows;
}

/** The database's clock. */
export async function databaseTime(knex: Knex): Promise<string> {
  const { rows } = await knex.raw<{ rows: { now: string }[] }>('select clock_timestamp()::text as now');
  return rows[0]?.now ?? 'infinity';
}

export interface OutboxJob extends ScheduledKey {
  readonly payload: string;
  /** The other part of the record of a job that was dead and has been retried. */
  readonly options: string | null;
  readonly isDue: boolean;
}

/** A row whose job has no outcome yet, whether it was dispatched or not. */
export async function findRow(knex: Knex, id: string): Promise<OutboxJob | undefined> {
  const { rows } = await knex.raw<{ rows: (Omit<OutboxJob, 'at'> & { readonly at: string })[] }>(
    `select ${MICROSECONDS} as at, queue, id, payload, options, due as "isDue" from (
       select run_at as at, queue, id, payload, options, dispatched_at is not null or run_at <= now() as due
       from job_outbox where id = ?::uuid
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

/** Rows whose jobs Redis does not know yet, and whose time has not come. `now()`: an index can be asked for it. */
export const SCHEDULED = 'dispatched_at is null and run_at > now()';

/** What `filter-script.ts` is to Redis. The text is looked for in the whole payload first: few rows must be parsed then. */
export function rowCondition(filter: CheckedFilter): RowCondition {
  const parts: RowCondition[] = [{ sql: SCHEDULED, values: [] }];
  const { queues, class: name, tag, error, text, since, until, failedSince } = filter;
  if (queues) parts.push({ sql: 'queue = any(?::text[])', values: [[...queues]] });
  if (name !== undefined) parts.push({ sql: 'class = ?', values: [name] });
  if (tag !== undefined) {
    const exists = `exists (select from json_array_elements_text(payload::json -> 'tags') as tag (name) where name = ?)`;
    parts.push({ sql: `strpos(payload, ?) > 0 and ${exists}`, values: [JSON.stringify(tag), tag] });
  }
  // They have not run yet: there are no errors.
  if (error !== undefined || failedSince !== undefined) parts.push({ sql: 'false', values: [] });
  if (text !== undefined) parts.push(textCondition(text));
  if (since !== undefined) parts.push({ sql: 'run_at >= ?::timestamptz', values: [new Date(since).toISOString()] });
  if (until !== undefined) parts.push({ sql: 'run_at <= ?::timestamptz', values: [new Date(until).toISOString()] });
  return { sql: parts.map((part) => `(${part.sql})`).join(' and '), values: parts.flatMap((part) => part.values) };
}

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
  const plain = plainNeedles(text).map(likePattern);
  const encoded = jsonNeedles(text).map(likePattern);
  return {
    sql: `lower(id::text) like any (?) or lower(class) like any (?) or lower(payload) like any (?) and (${WITHIN.join(' or ')})`,
    values: [plain, plain, encoded, ...WITHIN.map(() => encoded)],
  };
}

function likePattern(needle: string): string {
  return `%${needle.replace(/[\\%_]/g, '\\$&')}%`;
}

/** What to look for in a text without regard to the case of its letters (filter-script.ts). */
export interface Needle {
  /** With small letters. */
  readonly text: string;
  /** Of `text`, in bytes. */
  readonly length: number;
  /** All forms of a part of the text that is rarely met. */
  readonly parts: readonly string[];
  /** Where in the text that part is, in bytes. */
  readonly offset: number;
}

/** Characters of JSON and of stack traces, the most frequent first; others are rarer still. */
const FREQUENT = ' etaonisrl/"0:.,1d2cu345678h9mpfgb_-{}[]wyvkxjqz';
const LONGEST_PART = 4;
const MOST_LETTERS = 2;

/**
 * The texts to look for. Lua knows no letters but A to Z, so that a word with a capital beyond them is looked for in
 * both forms.
 */
export function plainNeedles(text: string): string[] {
  return [...new Set([text.toLowerCase(), asciiLower(text.toUpperCase()), asciiLower(text)])];
}

/** The same in JSON: as they stand within a string; and as given, for who types `"userId":7`. */
export function jsonNeedles(text: string): string[] {
  const needles = plainNeedles(text);
  return [...new Set([...needles.map((needle) => JSON.stringify(needle).slice(1, -1)), ...needles])];
}

export function toNeedle(text: string): Needle {
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

/** With each letter small and capital. */
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
