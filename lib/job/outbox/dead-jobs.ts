import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { keyPrefix } from '../queue/keys';
import { type JobRecord, messageOf, type Payload, readPayload, readRecord } from '../record/record';
import { isUuid } from './table';

/** A job that died, by its data in Redis. */
export interface Death {
  readonly id: string;
  readonly queue: string;
  /** The record's text; undefined when there is none. */
  readonly record: string | undefined;
  /** JSON that its runs have stored beside the record. */
  readonly cursor?: string | undefined;
  readonly progress?: string | undefined;
  /** ms since 1970. Default: now, by the database's clock. */
  readonly diedAt?: number | undefined;
}

/** Bounds of a time of death: Redis may hold any score, Postgres no later time. */
const EARLIEST_MS = 0;
const LATEST_MS = Date.UTC(9999, 11);
/** Maximum length of each of the two texts that are searched, characters. */
const SEARCHED = 2000;
/** Maximum length of an id and of a class, characters, and of all tags together, bytes; an index takes no more. */
const MAX_NAME = 200;
const MAX_TAGS = 1000;

/** A row of `job_dead`. */
interface DeadRow {
  readonly class: string;
  /** The same as in `job_outbox`; the whole record when it cannot be read; null when there is none. */
  readonly payload: string | null;
  /** The other part of the record; null when the record cannot be read. */
  readonly options: string | null;
  /** Name of the latest error. */
  readonly error: string;
  readonly attempts: number;
  readonly tags: readonly string[];
  /** The messages of its errors and the reason, in lower case. */
  readonly messages: string;
  /** Everything else that a search covers, in lower case. */
  readonly search: string;
}

function rowOf({ id, record: text, cursor, progress }: Death): DeadRow {
  try {
    const record = readRecord(text ?? '');
    // Newer formats are read, too, so that nothing is lost when newer code retries the job.
    const payload = readPayload(record.data, Number.POSITIVE_INFINITY);
    const options = {
      ...record.options,
      ...(cursor !== undefined && { cursor: record.options.cursor ?? cursor }),
      ...progressOf(record, progress),
    };
    // JSON that is nested too deep can be parsed and yet not be written; then this throws, too.
    const written = { payload: JSON.stringify(record.data), options: JSON.stringify(options) };
    return { ...written, ...searched(id, record, payload) };
  } catch {
    const row = { class: '', options: null, error: '', attempts: 0, tags: [], messages: '' };
    return { ...row, payload: text ?? null, search: lower([id, text ?? '']) };
  }
}

function progressOf(record: JobRecord, noted: string | undefined): { readonly progress?: unknown } {
  if (noted === undefined) return record.progress === 0 ? {} : { progress: record.progress };
  try {
    return { progress: JSON.parse(noted) as unknown };
  } catch {
    return { progress: noted };
  }
}

function searched(id: string, { options }: JobRecord, { class: name, args, tags = [], attrs }: Payload) {
  const { reason = '', stacktraces = [], attempts = 0 } = options;
  const messages = [...new Set([reason, ...stacktraces.map(messageOf)])];
  const texts = [
    id,
    name,
    ...tags,
    attrs.requestId ?? '',
    JSON.stringify(attrs.attributes ?? ''),
    JSON.stringify(args),
  ];
  return {
    class: name.slice(0, MAX_NAME),
    error: /^[\w$.]{1,100}/.exec(stacktraces[0] ?? '')?.[0] ?? '',
    attempts: Math.min(attempts, 2 ** 31 - 1),
    tags: indexed(tags),
    messages: lower(messages),
    search: lower(texts),
  };
}

function lower(texts: readonly string[]): string {
  return texts.join('\n').toLowerCase().slice(0, SEARCHED);
}

/** Keeps the tags that fit into the index. */
function indexed(tags: readonly string[]): readonly string[] {
  let bytes = 0;
  return tags.filter((tag) => {
    bytes += Buffer.byteLength(tag) + 4;
    return bytes <= MAX_TAGS;
  });
}

/** Our ids are UUIDs; others may have any length, so a long one is shortened with a hash that keeps it unique. */
function idOf({ id }: Death): string {
  return id.length <= MAX_NAME ? id : id.slice(0, MAX_NAME / 2) + createHash('sha1').update(id).digest('hex');
}

const COLUMNS = 'class, payload, options, error, attempts, tags, messages, search, died_at';
const INSERT = () => `
  with given as (
    select id, queue, row as job, class, payload, options, error, attempts,
      array(select json_array_elements_text(tags::json)) as tags, messages, search,
      coalesce(timestamptz 'epoch' + ms * interval '1 millisecond', date_trunc('milliseconds', clock_timestamp())) as died_at
    from unnest(?::text[], ?::text[], ?::uuid[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[], ?::text[], ?::text[],
      ?::text[], ?::float8[])
      as death (id, queue, row, class, payload, options, error, attempts, tags, messages, search, ms)
  ), fresh as (
    insert into ${TABLES.handovers} (id, queue, died_at) select id, queue, died_at from given order by id, queue
    on conflict do nothing returning id, queue
  ), died as (
    insert into ${TABLES.dead} (id, queue, ${COLUMNS})
    select id, queue, ${COLUMNS} from given join fresh using (id, queue) order by id, queue
    on conflict (id, queue) do update set (${COLUMNS}) = row (${COLUMNS.replace(/\w+/g, 'excluded.$&')})
    returning 1
  ), done as (
    delete from ${TABLES.outbox} using given join fresh using (id, queue) where ${TABLES.outbox}.id = given.job
  )
  select count(*)::int as died,
    case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', true) end
  from died`;

/**
 * Inserts dead jobs and deletes their outbox rows. A death that was handed over before is skipped, whatever has become
 * of the job since. COMMIT waits for the disk even if `synchronous_commit` is off, since Redis deletes its copy
 * afterwards.
 * @returns how many deaths were new.
 */
export async function insertDeaths(knex: Knex, deaths: readonly Death[]): Promise<number> {
  // One death per job, since Postgres refuses to update a row twice in one statement.
  const jobs = [...new Map(deaths.map((death) => [`${death.queue}:${death.id}`, death])).values()];
  if (jobs.length === 0) return 0;
  const rows = jobs.map(rowOf);
  const texts = (column: (row: DeadRow) => string | null) => rows.map((row) => storable(column(row)));
  const { rows: counted } = await knex.raw<{ rows: { readonly died: number }[] }>(INSERT(), [
    jobs.map((job) => storable(idOf(job))),
    jobs.map(({ queue }) => queue),
    jobs.map(({ id }) => (isUuid(id) ? id : null)),
    texts((row) => row.class),
    texts((row) => row.payload),
    texts((row) => row.options),
    texts((row) => row.error),
    rows.map(({ attempts }) => attempts),
    rows.map(({ tags }) => JSON.stringify(tags.map(storable))),
    texts((row) => row.messages),
    texts((row) => row.search),
    jobs.map(({ diedAt }) => (diedAt === undefined ? null : momentOf(diedAt))),
  ] as unknown as Knex.RawBinding[]);
  return counted[0]?.died ?? 0;
}

/** Replaces NUL and halves of surrogate pairs, which Postgres cannot store. */
function storable(text: string | null): string | null {
  return text?.replace(/[\0\p{Surrogate}]/gu, '\ufffd') ?? null;
}

function momentOf(ms: number): number {
  return Math.round(Math.min(Math.max(ms, EARLIEST_MS), LATEST_MS));
}

// KEYS  1 queue prefix
// ARGV  1 the number of longest dead jobs to read, or "" and then 2… ids
// reply id, time of death, "1" if there is a record, record, cursor, progress for each that is dead
const READ_SCRIPT = new RedisScript(`
local call, p, out, ids = redis.call, KEYS[1], {}, ARGV
if ARGV[1] ~= '' then ids = call('zrange', p..'dead', 0, ARGV[1] - 1) end
for _, id in ipairs(ids) do
  local at = call('zscore', p..'dead', id)
  if at then
    local record = call('hget', p..'jobs', id)
    for _, value in ipairs({
      id, at, record and '1' or '', record or '', call('hget', p..'cursor', id) or '', call('hget', p..'progress', id) or ''
    }) do out[#out + 1] = value end
  end
end
return out`);

// Deletes deaths from Redis that Postgres has now. If an id has another time by now, that is another death, which
// stays. Older versions also put dead jobs into `failed`, and their searched text into `gists`.
// KEYS  1 queue prefix
// ARGV  id, time of death for each
const TAKE_OUT_SCRIPT = new RedisScript(`
local call, p = redis.call, KEYS[1]
for a = 1, #ARGV, 2 do
  local id = ARGV[a]
  if call('zscore', p..'dead', id) == ARGV[a + 1] then
    call('zrem', p..'dead', id); call('srem', p..'failed', id)
    for _, key in ipairs({ 'jobs', 'cursor', 'progress', 'deliveries', 'gists' }) do call('hdel', p..key, id) end
  end
end`);

/** Deaths per script call. */
const BATCH = 100;

interface HandOverStores {
  readonly knex: Knex;
  readonly redis: RedisClient;
}

/**
 * Moves jobs of a queue that have died from Redis to Postgres. If that is interrupted, a sweep repeats it, with the
 * same result.
 * @param ids Default: all in `dead`.
 * @returns how many deaths were new.
 */
export async function handOver(stores: HandOverStores, queue: string, ids?: readonly string[]): Promise<number> {
  let died = 0;
  if (ids) {
    for (let from = 0; from < ids.length; from += BATCH) {
      died += (await handOverBatch(stores, queue, ['', ...ids.slice(from, from + BATCH)])).died;
    }
    return died;
  }
  for (let found = BATCH; found === BATCH; ) {
    const batch = await handOverBatch(stores, queue, [String(BATCH)]);
    died += batch.died;
    found = batch.found;
  }
  return died;
}

async function handOverBatch({ knex, redis }: HandOverStores, queue: string, args: string[]) {
  const reply = (await READ_SCRIPT.run(redis, [keyPrefix(queue)], args)) as string[];
  const deaths: Death[] = [];
  const taken: string[] = [];
  for (let i = 0; i + 5 < reply.length; i += 6) {
    const [id = '', at = '', hasRecord, record, cursor, progress] = reply.slice(i, i + 6);
    taken.push(id, at);
    deaths.push({
      id,
      queue,
      record: hasRecord ? record : undefined,
      cursor: cursor || undefined,
      progress: progress || undefined,
      diedAt: Number(at),
    });
  }
  if (deaths.length === 0) return { died: 0, found: 0 };
  const died = await insertDeaths(knex, deaths);
  await TAKE_OUT_SCRIPT.run(redis, [keyPrefix(queue)], taken);
  return { died, found: deaths.length };
}

/** Maximum number of dead jobs per queue, and days for which they stay; both are Sidekiq's. The oldest are deleted. */
export const DEAD_LIMIT = 10_000;
const DEAD_DAYS = 180;
/** Time for which a handover is remembered: Redis may come back with a copy of its data that is as old as this. */
const REMEMBERED = '1 hour';

/** Dead jobs that were deleted, because their queue had more than 10,000 or they had been dead for 180 days. */
export interface DroppedJobs {
  readonly queue: string;
  readonly count: number;
  readonly reason: 'limit' | 'age';
}

/** Deletes dead jobs beyond the limit of their queue, and those that are too old by the database's clock. */
export async function pruneDead(knex: Knex): Promise<readonly DroppedJobs[]> {
  const { rows } = await knex.raw<{ rows: DroppedJobs[] }>(
    `with ranked as (
       select id, queue, died_at < now() - ? * interval '1 day' as old,
         row_number() over (partition by queue order by died_at desc, id) as rank
       from ${TABLES.dead}
     ), gone as (
       delete from ${TABLES.dead} using ranked
       where (old or rank > ?) and ${TABLES.dead}.id = ranked.id and ${TABLES.dead}.queue = ranked.queue
       returning ranked.queue, old
     )
     select queue, count(*)::int as count, case when old then 'age' else 'limit' end as reason
     from gone group by queue, old order by queue, old`,
    [DEAD_DAYS, DEAD_LIMIT],
  );
  return rows;
}

/** Forgets old handovers. Call it only when Redis has nothing left to hand over. */
export async function forgetHandovers(knex: Knex): Promise<void> {
  await knex.raw(`delete from ${TABLES.handovers} where handed_over_at < clock_timestamp() - ?::interval`, [
    REMEMBERED,
  ]);
}

/**
 * Deletes the outbox rows of jobs that have ended, and their dead jobs, if another process recorded a death meanwhile.
 */
export async function deleteEnded(
  knex: Knex,
  jobs: readonly { readonly id: string; readonly queue: string }[],
): Promise<void> {
  const ids = jobs.map(({ id }) => storable(id) ?? '');
  await knex.raw(
    `with late as (
       delete from ${TABLES.dead} using unnest(?::text[], ?::text[]) as ended (id, queue)
       where ${TABLES.dead}.id = ended.id and ${TABLES.dead}.queue = ended.queue
     )
     delete from ${TABLES.outbox} where id = any(?::uuid[])`,
    [ids, jobs.map(({ queue }) => queue), ids.filter(isUuid)],
  );
}
