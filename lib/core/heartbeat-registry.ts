import type { RedisClient } from './redis';
import { RedisScript } from './redis-script';

/** A member without a heartbeat for this long is not listed, ms. */
const LISTED_MS = 30_000;
const COMMAND_TTL_S = 60;
/** Time for which one call of `list` counts as watching, s. */
const WATCHED_TTL_S = 10;

// All times are in ms by Redis's clock, since the clocks of the processes may differ.
//
// KEYS  1 members, 2 the member's info, 3 its commands, 4 watched
// ARGV  1 its id  2 its info, or '' to keep the last one  3 TTL of the info, s
//       4 time for which it lives without a further heartbeat, if nobody watches
// reply commands, 1 if "watched" exists, else 0
const HEARTBEAT_SCRIPT = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- This comes first, since a Redis that is out of memory lets a script go on only if its first write needs none.
call('expire', KEYS[2], ARGV[3])
local watched = call('exists', KEYS[4])
call('zadd', KEYS[1], watched == 1 and now or now + ARGV[4], ARGV[1])
if ARGV[2] ~= '' then call('set', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
return { call('lrange', KEYS[3], 0, -1), watched }`);

/** Lua for `wake(id)`: has one member send a heartbeat at once, or all of them by an empty id. */
const WAKE_LUA = `
local function wake(id)
  redis.call('publish', (KEYS[1]:match('^{[^}]*}') or '')..ARGV[1], id)
end
`;

// Unwatched members send few heartbeats and count ahead of time. The first watcher resets those times and wakes them all.
//
// KEYS  1 members, 2 prefix of the members' info: a key, since arguments lack the prefix of all keys of the app,
//       3 watched
// ARGV  1 channel, 2 maximum heartbeat age to be listed (ms), 3 TTL of "watched" (s)
// reply heartbeat age (ms) and info of each member
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
  local info = call('get', KEYS[2]..found[i])
  if info then out[#out + 1] = math.max(0, now - found[i + 1]); out[#out + 1] = info end
end
return out`);

// KEYS  1 members, 2 the commands of one   ARGV 1 channel, 2 its id, 3 the command, 4 its TTL, s
const SEND_SCRIPT = new RedisScript(`${WAKE_LUA}
if not redis.call('zscore', KEYS[1], ARGV[2]) then return 0 end
redis.call('rpush', KEYS[2], ARGV[3])
wake(ARGV[2])
return redis.call('expire', KEYS[2], ARGV[4])`);

export interface RegistryKeys {
  /** Redis zset of ids by the time of their last heartbeat. */
  readonly members: string;
  /** Prefix of the Redis string with a member's info; its id follows. */
  readonly infoPrefix: string;
  /** Redis list of the commands that wait for a member. */
  readonly commands: (id: string) => string;
  /** Redis string that exists while somebody lists the members. */
  readonly watched: string;
  /** Channel: the id of a member that is to send a heartbeat at once; empty: of all. */
  readonly wake: string;
}

export interface Heartbeat {
  /** The member's info, as text. Default: the previous one is kept. */
  readonly info?: string | undefined;
  /** TTL of the info after this heartbeat, s. */
  readonly ttlS: number;
  /**
   * While nobody watches, this heartbeat counts as if it came this much later, ms: for members that send fewer. Default 0.
   */
  readonly aheadMs?: number;
}

interface HeartbeatReply {
  readonly commands: readonly string[];
  /** true: somebody lists the members, so their info is wanted more often. */
  readonly watched: boolean;
}

export interface Listed<Info> {
  readonly info: Info;
  /** Age of its last heartbeat, ms. Above some seconds the member is blocked, disconnected or dead. */
  readonly heartbeatAgeMs: number;
}

/** The living trees that share one Redis. Each method throws when Redis does not answer. */
export class HeartbeatRegistry {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: RegistryKeys,
  ) {}

  /** Sends a heartbeat. @returns the commands that wait for the member. */
  async heartbeat(id: string, { info = '', ttlS, aheadMs = 0 }: Heartbeat): Promise<HeartbeatReply> {
    const { members, infoPrefix, commands: commandsOf, watched: watchedKey } = this.keys;
    const keys = [members, infoPrefix + id, commandsOf(id), watchedKey];
    const reply = await HEARTBEAT_SCRIPT.run(this.redis, keys, [id, info, String(ttlS), String(aheadMs)]);
    const [commands, watched] = reply as [string[], number];
    return { commands, watched: watched === 1 };
  }

  /**
   * Lists the members.
   * @param parse parses a member's info; undefined leaves the member out.
   */
  async list<Info>(parse: (text: string) => Info | undefined): Promise<Listed<Info>[]> {
    const { members, infoPrefix, watched, wake } = this.keys;
    const args = [wake, LISTED_MS, WATCHED_TTL_S].map(String);
    const reply = (await LIST_SCRIPT.run(this.redis, [members, infoPrefix, watched], args)) as (number | string)[];
    const listed: Listed<Info>[] = [];
    for (let i = 0; i < reply.length; i += 2) {
      const info = parse(String(reply[i + 1]));
      if (info !== undefined) listed.push({ info, heartbeatAgeMs: Number(reply[i]) });
    }
    return listed;
  }

  /** Sends a command to a member; it expires after a minute. @returns false when no such member is listed. */
  async send(id: string, command: string): Promise<boolean> {
    const { members, commands, wake } = this.keys;
    const args = [wake, id, command, String(COMMAND_TTL_S)];
    return (await SEND_SCRIPT.run(this.redis, [members, commands(id)], args)) === 1;
  }

  /** Removes a command from the list. @returns false when another process has done so. */
  async take(id: string, command: string): Promise<boolean> {
    return (await this.redis.lRem(this.keys.commands(id), 0, command)) > 0;
  }

  /** Removes a member that has ended. @returns false when somebody else has removed it before. */
  async deregister(id: string): Promise<boolean> {
    const { members, infoPrefix, commands } = this.keys;
    const [removed] = await this.redis
      .multi()
      .zRem(members, id)
      .del([infoPrefix + id, commands(id)])
      .exec();
    return Number(removed) > 0;
  }
}
