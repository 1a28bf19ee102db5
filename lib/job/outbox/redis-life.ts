import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../redis/redis-script';

/** Holds the run id of the Redis process whose data has been compared with the outbox. */
const KEY = 'catamount:redis-life';
const ANSWER_MS = 5000;

/** The life of a Redis: one process with its data. Over when it restarts, perhaps from an older copy, or is emptied. */
export interface RedisLife {
  readonly runId: string;
  /** Whether this life has been compared already, by any process. */
  readonly compared: boolean;
}

export async function currentLife(client: RedisClient): Promise<RedisLife> {
  const [info, compared] = await answerWithin(ANSWER_MS, Promise.all([client.info('server'), client.get(KEY)]));
  const runId = /run_id:(\w+)/.exec(info)?.[1] ?? 'unknown';
  return { runId, compared: compared === runId };
}

export async function markCompared(client: RedisClient, { runId }: RedisLife): Promise<void> {
  await answerWithin(ANSWER_MS, client.set(KEY, runId));
}
