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
  /** Whether this Redis knows of no earlier life: it is new, or has been emptied. */
  readonly first: boolean;
}

// KEYS  1 the compared one, 2 the begun one
// ARGV  1 run id, 2 a random id
// reply "" when it has been compared, or its id; 1 when no life was compared before
const LOOK = new RedisScript(`
local call = redis.call
local compared = call('get', KEYS[1])
if compared == ARGV[1] then return {'', 0} end
call('setnx', KEYS[2], ARGV[2])
return {call('get', KEYS[2]), compared and 0 or 1}`);

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
  const reply = (await LOOK.run(client, [KEY, BEGUN_KEY], [runId, randomUUID()])) as readonly [string, number];
  const [begun, first] = reply;
  return { runId, id: begun, compared: begun === '', first: first === 1 };
}

/** @returns false, with nothing done, when Redis has been emptied since its life was looked at, or another was first. */
export async function markCompared(client: RedisClient, { runId, id }: RedisLife): Promise<boolean> {
  return (await MARK.run(client, [KEY, BEGUN_KEY], [runId, id])) === 1;
}
