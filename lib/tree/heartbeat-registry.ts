import type { RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { TREE_PREFIX, TREES, TREES_WAKE, treeCommandsKey, treeStatusKey, WATCHED } from './keys';

/** A tree without a heartbeat for this long is not listed, ms. */
const LISTED_MS = 30_000;
/** Time for which a tree's status is kept after its last heartbeat, s. */
export const STATUS_TTL_S = 60;
const COMMAND_TTL_S = 60;
/** Timeout of the list, for which pages wait, ms. */
const LIST_MS = 2000;
/** Time for which one call of `list` counts as watching, s. */
const WATCHED_TTL_S = 10;

// All times are in ms by Redis's clock, since the clocks of the processes may differ.
//
// KEYS  1 trees, 2 the tree's status, 3 its commands, 4 watched
// ARGV  1 its id  2 its status, or '' to keep the last one  3 TTL of the status, s
//       4 time for which it lives without a further heartbeat, if nobody watches
// reply commands, 1 if "watched" exists, else 0, 1 if its last status was there, else 0
const HEARTBEAT_SCRIPT = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- This comes first, since a Redis that is out of memory lets a script go on only if its first write needs none.
local known = call('expire', KEYS[2], ARGV[3])
local watched = call('exists', KEYS[4])
call('zadd', KEYS[1], watched == 1 and now or now + ARGV[4], ARGV[1])
if ARGV[2] ~= '' then call('set', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
return { call('lrange', KEYS[3], 0, -1), watched, known }`);

/** Lua for `wake(id)`: has one tree send a heartbeat at once, or all of them by an empty id. */
const WAKE_LUA = `
local function wake(id)
  redis.call('publish', (KEYS[1]:match('^{[^}]*}') or '')..ARGV[1], id)
end
`;

// Unwatched trees send few heartbeats and count ahead of time. The first watcher resets those times and wakes them all.
//
// KEYS  1 trees, 2 prefix of their statuses: a key, since arguments lack the prefix of all keys of the app,
//       3 watched
// ARGV  1 channel, 2 maximum heartbeat age to be listed (ms), 3 TTL of "watched" (s)
// reply heartbeat age (ms) and status of each tree
const LIST_SCRIPT = new RedisScript(`${WAKE_LUA}
local call, time = redis.call, redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First, for the reason above.
call('zremrangebyscore', KEYS[1], '-inf', '('..now - ARGV[2])
if call('set', KEYS[3], 1, 'EX', ARGV[3], 'NX') then
  for _, id in ipairs(call('zrangebyscore', KEYS[1], now, '+inf')) do call('zadd', KEYS[1], now, id) end
  wake('')
else call('expire', KEYS[3], ARGV[3]) end
local out, found = {}, call('zrange', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  local status = call('get', KEYS[2]..found[i])
  if status then out[#out + 1] = math.max(0, now - found[i + 1]); out[#out + 1] = status end
end
return out`);

// KEYS  1 trees, 2 the commands of one   ARGV 1 channel, 2 its id, 3 the command, 4 its TTL, s
const SEND_SCRIPT = new RedisScript(`${WAKE_LUA}
if not redis.call('zscore', KEYS[1], ARGV[2]) then return 0 end
redis.call('rpush', KEYS[2], ARGV[3])
wake(ARGV[2])
return redis.call('expire', KEYS[2], ARGV[4])`);

interface Heartbeat {
  /** The tree's status, as text. Default: the previous one is kept. */
  readonly status?: string | undefined;
  /**
   * While nobody watches, this heartbeat counts as if it came this much later, ms: for trees that send fewer. Default 0.
   */
  readonly aheadMs?: number;
}

interface HeartbeatReply {
  readonly commands: readonly string[];
  /** true: somebody lists the trees, so their statuses are wanted more often. */
  readonly watched: boolean;
  /** false: its last status is not there, since none was sent within a minute, or Redis has lost it. */
  readonly known: boolean;
}

interface ListedText {
  readonly text: string;
  readonly heartbeatAgeMs: number;
}

/** The living trees that share one Redis. Each method throws when Redis does not answer. */
export class HeartbeatRegistry {
  constructor(private readonly redis: RedisClient) {}

  /** Sends a heartbeat. @returns the commands that wait for the tree. */
  async heartbeat(id: string, { status = '', aheadMs = 0 }: Heartbeat): Promise<HeartbeatReply> {
    const keys = [TREES, treeStatusKey(id), treeCommandsKey(id), WATCHED];
    const reply = await HEARTBEAT_SCRIPT.run(this.redis, keys, [id, status, String(STATUS_TTL_S), String(aheadMs)]);
    const [commands, watched, known] = reply as [string[], number, number];
    return { commands, watched: watched === 1, known: known === 1 };
  }

  async list(): Promise<ListedText[]> {
    const args = [TREES_WAKE, LISTED_MS, WATCHED_TTL_S].map(String);
    const reply = (await LIST_SCRIPT.run(this.redis, [TREES, TREE_PREFIX, WATCHED], args, LIST_MS)) as (
      | number
      | string
    )[];
    const listed: ListedText[] = [];
    for (let i = 0; i < reply.length; i += 2)
      listed.push({ text: String(reply[i + 1]), heartbeatAgeMs: Number(reply[i]) });
    return listed;
  }

  /** Sends a command to a tree; it expires after a minute. @returns false when no such tree is listed. */
  async send(id: string, command: string): Promise<boolean> {
    const args = [TREES_WAKE, id, command, String(COMMAND_TTL_S)];
    return (await SEND_SCRIPT.run(this.redis, [TREES, treeCommandsKey(id)], args)) === 1;
  }

  /** Removes a command from the list. @returns false when another process has done so. */
  async take(id: string, command: string): Promise<boolean> {
    return (await this.redis.lRem(treeCommandsKey(id), 0, command)) > 0;
  }

  async deregister(id: string): Promise<void> {
    const keys = [treeStatusKey(id), treeCommandsKey(id)];
    await this.redis.multi().zRem(TREES, id).del(keys).exec();
  }
}
