import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { whatRedisKnows } from '../outbox/known-script';
import { isUuid } from '../outbox/outbox';
import { knownQueues } from '../queue/queue-names';
import { queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';

const ANSWER_MS = 5000;

export interface LivingJobsSources {
  readonly redis: RedisClient;
  readonly knex: Knex;
  /** Those that are configured; all others that exist are looked at, too. */
  readonly queues: readonly string[];
}

/**
 * Which of these jobs may run again: those that wait, run, are held, scheduled or to be retried, and the dead ones, which
 * an operator may retry. @throws when Postgres or Redis does not answer.
 */
export async function livingJobs(
  { redis, knex, queues }: LivingJobsSources,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  // The row first: a job whose row is gone by now has either ended, or is in Redis.
  const inOutbox = await knex('job_outbox').whereIn('id', ids.filter(isUuid)).pluck<string[]>('id');
  const places = (await knownQueues(redis, queues)).flatMap((queue) => ids.map((id) => ({ id, queue })));
  const states = await whatRedisKnows(redis, places);
  const inRedis = places.filter((_, index) => states[index] === 'known').map(({ id }) => id);
  return new Set([...inOutbox, ...inRedis]);
}

/** Which of them will run again by themselves: the same without the dead. @throws as `livingJobs`. */
export async function comingJobs(sources: LivingJobsSources, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { redis, queues } = sources;
  const coming = new Set(await livingJobs(sources, ids));
  const asked = [...coming];
  if (asked.length === 0) return coming;
  for (const queue of await knownQueues(redis, queues)) {
    const died = await answerWithin(ANSWER_MS, redis.zmScore(queueKey(queue, 'dead'), asked));
    for (const [index, at] of died.entries()) if (at !== null) coming.delete(asked[index] ?? '');
  }
  return coming;
}
