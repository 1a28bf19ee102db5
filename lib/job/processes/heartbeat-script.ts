import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { commandsKey, PROCESSES, processKey } from '../queue/keys';

// All times are in ms by Redis's clock, since the clocks of the processes may differ.
//
// KEYS  1 processes, 2 this process, 3 its commands
// ARGV  1 identity  2 its status, or '' to keep the last one  3 TTL of the status, s
//       4 its last heartbeat, 5 its first heartbeat after the last gap (0: none yet)  6 the longest pause that is no
// gap
//       7 time without heartbeats after which a process is unresponsive  8… commands that were executed
// reply now, first heartbeat after the last gap, commands, identities of unresponsive processes
const SCRIPT = new RedisScript(`
local call = redis.call
local time = call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last, since = tonumber(ARGV[4]), tonumber(ARGV[5])
if last == 0 or now < last or now - last > tonumber(ARGV[6]) then since = now end
-- First, since a Redis without memory lets a script go on that begins with what needs none.
call('expire', KEYS[2], ARGV[3])
call('zadd', KEYS[1], now, ARGV[1])
if ARGV[2] ~= '' then call('set', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
for a = 8, #ARGV do call('lrem', KEYS[3], 1, ARGV[a]) end
-- Who has not been here all the time cannot tell whether the others were unresponsive, or Redis was away.
local unresponsive = {}
if now - since > tonumber(ARGV[7]) then
  unresponsive = call('zrangebyscore', KEYS[1], '-inf', now - ARGV[7], 'LIMIT', 0, 10)
end
return { now, since, call('lrange', KEYS[3], 0, -1), unresponsive }`);

/** KEYS 1 processes, 2 this process, 3 its commands   ARGV 1 identity */
const LEAVE = new RedisScript(`
redis.call('zrem', KEYS[1], ARGV[1])
return redis.call('del', KEYS[2], KEYS[3])`);

export interface HeartbeatRequest {
  readonly identity: string;
  /** Its status as JSON; undefined: the last one is kept. */
  readonly info: string | undefined;
  /** TTL of the status after the last heartbeat, s. */
  readonly ttlS: number;
  /** The reply to its last heartbeat; undefined before the first. */
  readonly last: Pick<HeartbeatReply, 'now' | 'since'> | undefined;
  readonly gapMs: number;
  readonly unresponsiveMs: number;
  readonly executed: readonly string[];
}

export interface HeartbeatReply {
  readonly now: number;
  /** Its first heartbeat after the last gap. */
  readonly since: number;
  readonly commands: readonly string[];
  /** Identities of processes whose jobs should be rescued. */
  readonly unresponsive: readonly string[];
}

/** Sends a heartbeat; returns commands and unresponsive processes. @throws when Redis does not answer. */
export async function sendHeartbeat(client: RedisClient, request: HeartbeatRequest): Promise<HeartbeatReply> {
  const { identity, info = '', ttlS, last = { now: 0, since: 0 }, gapMs, unresponsiveMs, executed } = request;
  const numbers = [ttlS, last.now, last.since, gapMs, unresponsiveMs].map(String);
  const reply = await SCRIPT.run(client, keysOf(identity), [identity, info, ...numbers, ...executed]);
  const [now, since, commands, unresponsive] = reply as [number, number, string[], string[]];
  return { now, since, commands, unresponsive };
}

/** Removes a process from the list. @throws when Redis does not answer. */
export async function leaveList(client: RedisClient, identity: string): Promise<void> {
  await LEAVE.run(client, keysOf(identity), [identity]);
}

function keysOf(identity: string): string[] {
  return [PROCESSES, processKey(identity), commandsKey(identity)];
}
