import { randomUUID } from 'node:crypto';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../redis/redis-script';

/** Holds the run id of the Redis process whose data has been compared with the outbox. */
const KEY = 'catamount:redis-life';
/** Holds a random id as long as its data has not been compared: one that is emptied meanwhile has another afterwards. */
const BEGUN_KEY = 'catamount:redis-life:begun';
const ANSWER_MS = 5000;

/** The life of a Redis: one process with its data. Over when it restarts, perhaps from an older copy, or is emptied. */
export interface RedisLife {
  readonly runId: string;
  /** Of this life alone, until it has been compared. */
  readonly id: string;
  /** Whether this life has been compared already, by any process. */
  readonly compared: boolean;
}

// KEYS  1 the compared one, 2 the begun one
// ARGV  1 run id, 2 a random id
// reply "" when it has been compared, or its id
const LOOK = new RedisScript(`
local call = redis.call
if call('get', KEYS[1]) == ARGV[1] then return '' end
call('setnx', KEYS[2], ARGV[2])
return call('get', KEYS[2])`);

// KEYS  as above
// ARGV  1 run id, 2 its id
// reply 1 when it still is the same life
const MARK = new RedisScript(`
local call = redis.call
if call('get', KEYS[2]) ~= ARGV[2] then return 0 end
call('set', KEYS[1], ARGV[1]); call('del', KEYS[2])
return 1`);

export async function currentLife(client: RedisClient): Promise<RedisLife> {
  const info = await answerWithin(ANSWER_MS, client.info('server'));
  const runId = /run_id:(\w+)/.exec(info)?.[1] ?? 'unknown';
  const begun = String(await LOOK.run(client, [KEY, BEGUN_KEY], [runId, randomUUID()]));
  return { runId, id: begun, compared: begun === '' };
}

/** Does nothing when Redis has been emptied since its life was looked at. */
export async function markCompared(client: RedisClient, { runId, id }: RedisLife): Promise<void> {
  await MARK.run(client, [KEY, BEGUN_KEY], [runId, id]);
}
