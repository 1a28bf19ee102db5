import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { whatRedisKnows } from '../outbox/reconciler';
import { isUuid } from '../outbox/table';
import { keyPrefix, queueKey } from '../queue/keys';
import { knownQueues } from '../queue/queue-status';
import { retriedRecord } from '../record/record';
import { findDead } from './dead-set';
import { describeJob, describeRow, isRetrying, type JobEntry, type SetName } from './entry';
import { findRow, type OutboxJob } from './outbox-rows';
import { type CheckedRef, checkRef, InvalidRequestError, type JobRef, type SetSources } from './query';

/** The place of a job. `gone`: it has succeeded, was discarded or deleted, or never existed. */
export interface FoundPlace {
  readonly place: SetName | 'gone';
  readonly entry: JobEntry | undefined;
  /** Number of jobs before it in its queue; undefined unless it waits in Redis. */
  readonly ahead: number | undefined;
}

const GONE: FoundPlace = { place: 'gone', entry: undefined, ahead: undefined };

/** The stores that `findJob` looks into. */
interface JobSources extends Pick<SetSources, 'redis' | 'knex'> {
  /** Queues to search when the reference names none, or a function that reads them from Redis. */
  readonly queues: readonly string[] | (() => Promise<readonly string[]>);
}

/**
 * Finds a job in any place. A dead one is found without Redis.
 * @throws InvalidRequestError for an invalid id, and for an id without a queue that several queues have.
 */
export async function findJob({ redis, knex, queues }: JobSources, ref: JobRef): Promise<FoundPlace> {
  const { id, queue } = checkRef(ref);
  const dead = await findDeadJob(knex, { id, queue });
  if (dead) return dead;
  const row = await findOwnRow(knex, { id, queue });
  const others = queue === undefined ? await (typeof queues === 'function' ? queues() : queues) : [];
  const known = queue === undefined ? [...new Set([...others, ...(row ? [row.queue] : [])])] : [queue];
  const locations = await locate(redis, known, id);
  const location = onlyOne(
    id,
    locations.filter((seen) => seen.place !== 'nowhere'),
  );
  if (location) return describeLocation(id, location);
  // Postgres is read once more, since the job may have died or been retried between the two reads.
  const moved = await findDeadJob(knex, { id, queue });
  if (moved) return moved;
  const left = await findOwnRow(knex, { id, queue });
  // The row is due and about to be copied to Redis, or Redis has lost the job and the reconciler has yet to notice.
  return left ? describeOwnRow(left) : GONE;
}

async function findDeadJob(knex: Knex, ref: CheckedRef): Promise<FoundPlace | undefined> {
  const [entry] = await findDead(knex, [ref]);
  return entry && { place: 'dead', entry, ahead: undefined };
}

async function findOwnRow(knex: Knex, { id, queue }: CheckedRef): Promise<OutboxJob | undefined> {
  const row = isUuid(id) ? await findRow(knex, id) : undefined;
  return queue === undefined || row?.queue === queue ? row : undefined;
}

function describeOwnRow({ options, ...row }: OutboxJob): FoundPlace {
  const set = row.isDue ? 'waiting' : 'scheduled';
  const at = new Date(row.at / 1000);
  if (options === null) return { place: set, entry: describeRow({ ...row, set, at }), ahead: undefined };
  const text = retriedRecord({ payload: row.payload, options, readyAt: at.getTime(), durable: true });
  return { place: set, entry: describeJob({ ...row, set, at, text }), ahead: undefined };
}

function describeLocation(id: string, { place, queue, score, text, progress }: JobLocation): FoundPlace {
  const set: SetName | undefined =
    place === 'delayed' ? (isRetrying(text) ? 'retry' : 'scheduled') : place === 'nowhere' ? undefined : place;
  if (!set) return GONE;
  const at = place === 'dead' || place === 'delayed' ? new Date(score) : undefined;
  const entry = describeJob({ id, queue, set, at, text, progress });
  return { place: set, entry, ahead: place === 'waiting' ? score : undefined };
}

function onlyOne(id: string, locations: readonly JobLocation[]): JobLocation | undefined {
  if (locations.length < 2) return locations[0];
  const queues = locations.map((seen) => seen.queue).join(', ');
  throw new InvalidRequestError(`job ${id} is in several queues (${queues}): say which one is meant`);
}

/** The state of a job in Redis, in one queue. */
export interface JobLocation {
  readonly queue: string;
  /** `nowhere`: Redis has only its record. */
  readonly place: 'dead' | 'delayed' | 'active' | 'blocked' | 'waiting' | 'nowhere';
  /** For `dead` and `delayed` ms since 1970; for `waiting` the number of jobs before it; otherwise 0. */
  readonly score: number;
  readonly text: string | undefined;
  readonly progress: string | undefined;
}

// Finds the place of a job in each queue. `waiting` may be long, so it is searched last.
// KEYS  queue prefixes
// ARGV  1 id
// reply queue number, place, score, "1" if there is a record, record, progress for each queue that knows it
const SCRIPT = new RedisScript(`
local call, id, out = redis.call, ARGV[1], {}
for q, p in ipairs(KEYS) do
  local text = call('hget', p..'jobs', id)
  local class = text and text:match('^{"data":{[^{}%[%]]-"class":"([^"]+)"')
  local place, score = nil, 0
  for _, set in ipairs({ 'dead', 'delayed' }) do
    local its = call('zscore', p..set, id)
    if its then place, score = set, its end
  end
  if not place and call('lpos', p..'active', id) then place = 'active' end
  if not place and class and call('lpos', p..'blocked:'..class, id) then place = 'blocked' end
  local at = not place and call('lpos', p..'waiting', id, 'rank', -1)
  if at then place, score = 'waiting', call('llen', p..'offered') + call('llen', p..'waiting') - 1 - at
  elseif not place and call('lpos', p..'offered', id) then place = 'waiting' end
  if place or text then
    for _, value in ipairs({ q, place or 'nowhere', score, text and '1' or '', text or '', call('hget', p..'progress', id) or '' }) do
      out[#out + 1] = value
    end
  end
end
return out`);

/** @returns the state of the job in each queue that has its id. */
export async function locate(client: RedisClient, queues: readonly string[], id: string): Promise<JobLocation[]> {
  if (queues.length === 0) return [];
  const reply = (await SCRIPT.run(client, queues.map(keyPrefix), [id])) as (string | number)[];
  const locations: JobLocation[] = [];
  for (let i = 0; i + 5 < reply.length; i += 6) {
    const [queue, place, score, hasRecord, text, progress] = reply.slice(i, i + 6).map(String);
    locations.push({
      queue: queues[Number(queue) - 1] ?? '',
      place: place as JobLocation['place'],
      score: Number(score),
      text: hasRecord ? text : undefined,
      progress: progress || undefined,
    });
  }
  return locations;
}

const ANSWER_MS = 5000;

export interface LivingJobsSources {
  readonly redis: RedisClient;
  readonly knex: Knex;
  /** The configured queues; all others that exist are searched, too. */
  readonly queues: readonly string[];
}

/**
 * Finds those of these jobs that may run again: waiting, active, blocked, scheduled and retry jobs, and dead ones,
 * since an operator may retry them. @throws when Postgres or Redis does not answer.
 */
export async function livingJobs(
  { redis, knex, queues }: LivingJobsSources,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  // Postgres is read first: a job whose row is gone by now has either ended or is in Redis.
  const inPostgres = await rowsOf(knex, ids);
  const places = (await knownQueues(redis, queues)).flatMap((queue) => ids.map((id) => ({ id, queue })));
  const states = await whatRedisKnows(redis, places);
  const inRedis = places.filter((_, index) => states[index] === 'known').map(({ id }) => id);
  const living = new Set([...inPostgres, ...inRedis]);
  // Postgres is read again, since a job may have died and left Redis meanwhile.
  const missing = ids.filter((id) => !living.has(id));
  return new Set([...living, ...(missing.length > 0 ? await rowsOf(knex, missing) : [])]);
}

/** @returns the ids of those jobs that are in the outbox or dead. */
async function rowsOf(knex: Knex, ids: readonly string[]): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `select id::text as id from ${TABLES.outbox} where id = any(?::uuid[])
     union select id from ${TABLES.dead} where id = any(?::text[])`,
    [ids.filter(isUuid), [...ids]],
  );
  return rows.map(({ id }) => id);
}

/** Finds those of these jobs that will run by themselves: the living ones without the dead. @throws as `livingJobs`. */
export async function comingJobs(sources: LivingJobsSources, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { redis, knex, queues } = sources;
  const coming = new Set(await livingJobs(sources, ids));
  const asked = [...coming];
  if (asked.length === 0) return coming;
  // Redis is read first: a job that has died is written to Postgres before it leaves the dead set in Redis.
  for (const queue of await knownQueues(redis, queues)) {
    const died = await answerWithin(ANSWER_MS, redis.zmScore(queueKey(queue, 'dead'), asked));
    for (const [index, at] of died.entries()) if (at !== null) coming.delete(asked[index] ?? '');
  }
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `select id from ${TABLES.dead} where id = any(?::text[])`,
    [asked],
  );
  for (const { id } of rows) coming.delete(id);
  return coming;
}
