import type { RedisClient } from '../../core/redis';
import { readPayload } from '../record/payload';
import { readyAt } from '../record/ready-at';
import { readRecord } from '../record/record';
import { HELD_KEY, keyPrefix } from '../redis/keys';
import { RedisScript } from '../redis/redis-script';
import { type Pause, readPause } from './pause-note';

/** What Redis tells of a queue. */
export interface QueueStatus {
  readonly name: string;
  /** Jobs that wait to be fetched. */
  readonly waiting: number;
  readonly active: number;
  /** Jobs set aside while as many of their class run as may; they go first when there is a place. */
  readonly held: number;
  /** Retries that are not due yet, and what plain producers delayed. */
  readonly delayed: number;
  readonly dead: number;
  /** How long the job that is next has waited since it could have run, ms; 0 when none waits or its record is unreadable. */
  readonly latencyMs: number;
  /** Class of the job that is next; undefined when none waits or its record is unreadable. */
  readonly next: string | undefined;
  /** undefined: it is not paused. */
  readonly paused: Pause | undefined;
}

// KEYS  queue prefixes
// reply for each: waiting, active, held, delayed, dead, what `paused` holds or "", the record of the one that is next or
//       ""; then the time, ms
const SCRIPT = new RedisScript(`
local call, out, held = redis.call, {}, {}
for _, key in ipairs(call('smembers', '${HELD_KEY}')) do
  local p = key:match('^([^:]*:[^:]*:)held:')
  if p then held[p] = (held[p] or 0) + call('llen', key) end
end
for _, p in ipairs(KEYS) do
  local id = call('lindex', p..'waiting', -1)
  for _, value in ipairs({
    call('llen', p..'waiting'), call('llen', p..'active'), held[p] or 0, call('zcard', p..'delayed'), call('zcard', p..'dead'),
    call('get', p..'paused') or '', id and call('hget', p..'jobs', id) or ''
  }) do out[#out + 1] = value end
end
local time = call('time')
out[#out + 1] = time[1] * 1000 + math.floor(time[2] / 1000)
return out`);

const FIELDS = 7;

/** One script call for all of them. */
export async function readQueues(client: RedisClient, names: readonly string[]): Promise<QueueStatus[]> {
  if (names.length === 0) return [];
  const reply = (await SCRIPT.run(client, names.map(keyPrefix), [])) as (number | string)[];
  const now = Number(reply.at(-1));
  return names.map((name, index) => {
    const fields = reply.slice(index * FIELDS, (index + 1) * FIELDS);
    const [waiting = 0, active = 0, held = 0, delayed = 0, dead = 0] = fields.slice(0, 5).map(Number);
    const [paused = '', next = ''] = fields.slice(5).map(String);
    return {
      name,
      waiting,
      active,
      held,
      delayed,
      dead,
      latencyMs: latencyOf(next, now),
      next: classOf(next),
      paused: paused === '' ? undefined : readPause(paused, now),
    };
  });
}

function classOf(text: string): string | undefined {
  try {
    return readPayload(readRecord(text).data).class;
  } catch {
    return undefined;
  }
}

function latencyOf(text: string, now: number): number {
  try {
    return Math.max(0, Math.round(now - (readyAt(readRecord(text).options) ?? now)));
  } catch {
    return 0;
  }
}
