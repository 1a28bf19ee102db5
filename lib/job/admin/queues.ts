import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { toError } from '../../support/async';
import { deadByQueue, deleteDue, dueByQueue } from '../outbox/table';
import {
  BLOCKED_KEY,
  keyPrefix,
  NAMESPACE_LUA,
  OUTCOME_LUA,
  queueKey,
  WAKE_CHANNEL,
  withoutNamespace,
} from '../queue/keys';
import { knownQueues, type QueueStatus, readQueues } from '../queue/queue-status';
import { forgetPause, keepPause, writePause } from '../queue/queue-upkeep';
import { completeRows } from '../sets/move-script';
import { InvalidRequestError, type SetSources } from '../sets/query';

const ANSWER_MS = 5000;

export interface ListedQueue extends QueueStatus {
  /**
   * Jobs that are due and still in the outbox, since the relay has not copied them yet or the queue is full. At most
   * 10,000 are counted; undefined when Postgres does not answer.
   */
  readonly inOutbox: number | undefined;
  /** Number of dead jobs; undefined when Postgres does not answer. */
  readonly dead: number | undefined;
}

/**
 * Lists, pauses, resumes and clears queues for operators, from any process. Pauses are in Redis and also in Postgres:
 * when Redis has lost its data the job processors pause these queues again within seconds.
 */
export class Queues {
  constructor(private readonly sources: SetSources) {}

  /**
   * @returns the queues of the sources, in their order, then all others, by name.
   * @throws when Redis does not answer.
   */
  async names(): Promise<string[]> {
    return knownQueues(this.sources.redis, this.sources.queues);
  }

  /** Reads the status of queues. @param names Default: all. @throws when Redis does not answer. */
  async list(names?: readonly string[]): Promise<ListedQueue[]> {
    const { redis, knex } = this.sources;
    const wanted = names ?? (await this.names());
    const unknown = () => undefined;
    const inPostgres = [dueByQueue(knex, wanted).catch(unknown), deadByQueue(knex).catch(unknown)] as const;
    const statuses = await readQueues(redis, wanted);
    const [due, dead] = await Promise.all(inPostgres);
    return statuses.map((status) => ({
      inOutbox: due && (due.get(status.name) ?? 0),
      dead: dead && (dead.get(status.name) ?? 0),
      ...status,
    }));
  }

  /** Counts the jobs that wait in Redis, blocked ones included. @throws when Redis does not answer. */
  async size(name: string): Promise<number> {
    const [status] = await readQueues(this.sources.redis, [name]);
    return status ? status.waiting + status.blocked : 0;
  }

  /**
   * Pauses a queue: no process starts jobs of it; running jobs go on, and jobs can still be enqueued.
   * @returns false when it is paused already. @throws InvalidRequestError for a queue that does not exist.
   */
  async pause(name: string): Promise<boolean> {
    const { redis, knex, via } = this.sources;
    await this.check(name);
    const pause = { since: new Date(), by: via };
    const set = redis.set(queueKey(name, 'paused'), writePause(pause), { condition: 'NX' });
    if ((await answerWithin(ANSWER_MS, set)) === null) return false;
    this.report('pause', name, 0);
    await this.orReport(keepPause(knex, name, pause), `keeping the pause of queue ${name} in Postgres`);
    return true;
  }

  /**
   * Resumes a queue. Idle processors are woken at once; one that misses the message polls within seconds.
   * @returns false when it is not paused. @throws InvalidRequestError for a queue that does not exist.
   */
  async resume(name: string): Promise<boolean> {
    const { redis, knex } = this.sources;
    await this.check(name);
    await this.orReport(forgetPause(knex, name), `forgetting the pause of queue ${name} in Postgres`);
    const removed = await answerWithin(ANSWER_MS, redis.del(queueKey(name, 'paused')));
    if (removed === 0) return false;
    this.report('resume', name, 0);
    await WAKE_SCRIPT.run(redis, [keyPrefix(name)], []);
    return true;
  }

  /**
   * Deletes the waiting jobs of a queue, in Redis and, if due, in the outbox. Running, retry, scheduled and dead jobs
   * stay.
   * @returns how many jobs were deleted.
   * @throws InvalidRequestError for a queue that does not exist, and errors of Redis or Postgres; some jobs may be
   * deleted then.
   */
  async clear(name: string): Promise<number> {
    const { redis, knex } = this.sources;
    await this.check(name);
    let jobs = 0;
    try {
      // The outbox is cleared first, since rows that a relay dispatches meanwhile are in Redis afterwards.
      await deleteDue(knex, name, (count) => {
        jobs += count;
      });
      jobs += await clearQueue(redis, name, (ids) =>
        completeRows(
          this.sources,
          ids.map((id) => ({ id, queue: name })),
        ),
      );
    } finally {
      this.report('clear', name, jobs);
    }
    return jobs;
  }

  /** Reports a failure of Postgres instead of throwing it: Redis decides, Postgres only has a copy of the pause. */
  private async orReport(kept: Promise<void>, during: string): Promise<void> {
    await kept.catch((error: unknown) => {
      this.sources.events.emit('process.error', { error: toError(error), during });
    });
  }

  private report(action: 'pause' | 'resume' | 'clear', queue: string, jobs: number): void {
    const { events, via } = this.sources;
    events.emit('operator.queue', { action, queue, jobs, via });
  }

  private async check(name: string): Promise<void> {
    const names = await this.names();
    if (names.includes(name)) return;
    const known = names.length > 0 ? `there are ${names.join(', ')}` : 'there is none yet';
    throw new InvalidRequestError(`there is no queue ${JSON.stringify(name)}: ${known}`);
  }
}

/** Jobs per call, which takes Redis some milliseconds. */
const CHUNK = 500;

// Wakes processors that do not wait for this queue.
// KEYS  1 queue prefix
const WAKE_SCRIPT = new RedisScript(`${NAMESPACE_LUA}
return redis.call('publish', ns..'${WAKE_CHANNEL}', KEYS[1]:sub(#ns + 1))`);

// Deletes the jobs at the head of a list.
// KEYS  1 queue prefix
// ARGV  1 now (ms)  2 list, such as waiting  3 maximum number of jobs
// reply how many ids were taken, how many of these had a job, then the ids of those that may have a row in the outbox
const SCRIPT = new RedisScript(`
local call, now, p = redis.call, ARGV[1], KEYS[1]
${OUTCOME_LUA}
local function has(text, via) return text:find('"via":"'..via..'"', 1, true) end

local ids, jobs, out = call('rpop', p..ARGV[2], ARGV[3]) or {}, 0, {}
for _, id in ipairs(ids) do
  local text = call('hget', p..'jobs', id)
  call('hdel', p..'deliveries', id)
  if text then
    call('hdel', p..'jobs', id)
    -- Arguments that look like this leave one marker too many, which does no harm. Without the field any route is
    -- possible.
    local recent = has(text, 'redis') or has(text, 'fallback')
    local row = has(text, 'outbox') or has(text, 'fallback') or not recent
    leaveMarkers(p, id, (row and 'f' or '')..(recent and 'r' or '')..'c')
    jobs = jobs + 1
    if row then out[#out + 1] = id end
  end
end
table.insert(out, 1, #ids); table.insert(out, 2, jobs)
return out`);

/**
 * Deletes the jobs that wait in a queue now, blocked ones included, in chunks; jobs that are enqueued meanwhile stay.
 * @param onCleared called after each chunk with the ids of jobs that may have rows in the outbox.
 * @returns how many jobs were deleted.
 */
export async function clearQueue(
  client: RedisClient,
  queue: string,
  onCleared: (ids: readonly string[]) => Promise<void>,
): Promise<number> {
  const prefix = keyPrefix(queue);
  let deleted = 0;
  for (const list of ['offered', 'waiting', ...(await blockedLists(client, prefix))]) {
    let left = await answerWithin(ANSWER_MS, client.lLen(prefix + list));
    while (left > 0) {
      const args = [String(Date.now()), list, String(Math.min(CHUNK, left))];
      const [taken, jobs, ...ids] = (await SCRIPT.run(client, [prefix], args)) as [number, number, ...string[]];
      deleted += Number(jobs);
      left = Number(taken) === 0 ? 0 : left - Number(taken);
      if (ids.length > 0) await onCleared(ids);
    }
  }
  return deleted;
}

/** @returns the names of the queue's lists of blocked jobs, such as `blocked:ReportJob`. */
async function blockedLists(client: RedisClient, prefix: string): Promise<string[]> {
  const keys = (await answerWithin(ANSWER_MS, client.sMembers(BLOCKED_KEY))).map(withoutNamespace);
  return keys.filter((key) => key.startsWith(`${prefix}blocked:`)).map((key) => key.slice(prefix.length));
}
