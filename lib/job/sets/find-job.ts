import type { Knex } from 'knex';
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

/** Where a job is. `gone`: it has ended well, or was deleted, or never was. */
export interface FoundPlace {
  readonly place: SetName | 'gone';
  readonly entry: JobEntry | undefined;
  /** How many come before it in its queue, while it waits there. */
  readonly ahead: number | undefined;
}

const GONE: FoundPlace = { place: 'gone', entry: undefined, ahead: undefined };

/** The stores that `findJob` looks into. */
interface JobSources extends Pick<SetSources, 'redis' | 'knex'> {
  /** Those to be looked at when none is named, and how to have them; they are in Redis. */
  readonly queues: readonly string[] | (() => Promise<readonly string[]>);
}

/**
 * A dead job is found without Redis.
 * @throws InvalidRequestError for what cannot be an id, and for an id that several queues know when none is named.
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
  // Once more: it may have died, or been retried, and so have changed sides behind our back.
  const moved = await findDeadJob(knex, { id, queue });
  if (moved) return moved;
  const left = await findOwnRow(knex, { id, queue });
  // Due, and about to be copied to Redis; or Redis has lost it, and the reconciler has yet to notice.
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

/** What Redis holds of a job in one queue. */
export interface JobLocation {
  readonly queue: string;
  /** `nowhere`: it has a record only. */
  readonly place: 'dead' | 'delayed' | 'active' | 'blocked' | 'waiting' | 'nowhere';
  /** Of `dead` and `delayed`, ms since 1970; of `waiting` how many come before it. */
  readonly score: number;
  readonly text: string | undefined;
  readonly progress: string | undefined;
}

// Where a job is in each queue. `waiting` may be long: it comes last.
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
  if at then place, score = 'waiting', call('llen', p..'waiting') - 1 - at end
  if place or text then
    for _, value in ipairs({ q, place or 'nowhere', score, text and '1' or '', text or '', call('hget', p..'progress', id) or '' }) do
      out[#out + 1] = value
    end
  end
end
return out`);

/** All queues that know the id. */
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
  /** Those that are configured; all others that exist are looked at, too. */
  readonly queues: readonly string[];
}

/**
 * Which of these jobs may run again: those that wait, run, are blocked, scheduled or to be retried, and the dead ones, which
 * an operator may retry. @throws when Postgres or Redis does not answer.
 */
export async function livingJobs(
  { redis, knex, queues }: LivingJobsSources,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  // The rows first: a job whose row is gone by now has either ended, or is in Redis.
  const inPostgres = await rowsOf(knex, ids);
  const places = (await knownQueues(redis, queues)).flatMap((queue) => ids.map((id) => ({ id, queue })));
  const states = await whatRedisKnows(redis, places);
  const inRedis = places.filter((_, index) => states[index] === 'known').map(({ id }) => id);
  const living = new Set([...inPostgres, ...inRedis]);
  // And again: it may have died meanwhile, and be in Redis no more.
  const missing = ids.filter((id) => !living.has(id));
  return new Set([...living, ...(missing.length > 0 ? await rowsOf(knex, missing) : [])]);
}

/** Returns those of these jobs that are in the outbox or dead. */
async function rowsOf(knex: Knex, ids: readonly string[]): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `select id::text as id from job_outbox where id = any(?::uuid[])
     union select id from job_dead where id = any(?::text[])`,
    [ids.filter(isUuid), [...ids]],
  );
  return rows.map(({ id }) => id);
}

/** Which of them will run again by themselves: the same without the dead. @throws as `livingJobs`. */
export async function comingJobs(sources: LivingJobsSources, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { redis, knex, queues } = sources;
  const coming = new Set(await livingJobs(sources, ids));
  const asked = [...coming];
  if (asked.length === 0) return coming;
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    'select id from job_dead where id = any(?::text[])',
    [asked],
  );
  for (const { id } of rows) coming.delete(id);
  for (const queue of await knownQueues(redis, queues)) {
    const died = await answerWithin(ANSWER_MS, redis.zmScore(queueKey(queue, 'dead'), asked));
    for (const [index, at] of died.entries()) if (at !== null) coming.delete(asked[index] ?? '');
  }
  return coming;
}
