import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { deleteRows, isUuid } from '../outbox/outbox';
import { queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';

const ANSWER_MS = 1000;

/**
 * Deletes the outbox rows of jobs that an operator has ended, so that their claims end with them. Redis has their ids in
 * `finished`: what fails here is done by a processor's settler, some seconds later.
 */
export async function settleRows(
  { knex, redis }: { readonly knex: Knex; readonly redis: RedisClient },
  jobs: readonly { readonly id: string; readonly queue: string }[],
): Promise<void> {
  const own = jobs.filter((job) => isUuid(job.id));
  if (own.length === 0) return;
  const ids = own.map((job) => job.id);
  try {
    await deleteRows(knex, ids);
    for (const queue of new Set(own.map((job) => job.queue))) {
      await answerWithin(ANSWER_MS, redis.zRem(queueKey(queue, 'finished'), ids));
    }
  } catch {
    // See above.
  }
}
