import type { Redis } from '../../core/redis';
import { RedisScript } from '../../job/redis/redis-script';
import { clientNetwork } from '../../support/client-network';

/** Wrong passwords from one address before it must wait. */
export const TRIES = 5;
/** How long it must wait, seconds. */
export const PAUSE_SECONDS = 15 * 60;
const PREFIX = 'catamount:ops:tries:';
const KNOWN = 'catamount:ops:known:';
const PACE = 'catamount:ops:pace';
/** How long an address is known from which somebody has signed in, seconds. */
const KNOWN_SECONDS = 90 * 24 * 60 * 60;
/** More addresses than this are not remembered while Redis is away. */
const REMEMBERED = 10_000;
/** Of the unknown addresses together: so many tries at once, then one by one, of which a few may wait their turn. */
const AT_ONCE = 30;
const EVERY_MS = 1000;
const LONGEST_MS = 10_000;

/**
 * Counts before the password is looked at, so that tries at the same time cannot slip through together. What unknown
 * addresses try is also paced together (GCRA); one that is turned away for that has used up none of its own tries.
 */
const COUNT = new RedisScript(`
local count = redis.call('incr', KEYS[1])
if count == 1 or count == tonumber(ARGV[1]) then redis.call('expire', KEYS[1], ARGV[2]) end
local left = redis.call('ttl', KEYS[1])
if count > tonumber(ARGV[1]) or redis.call('exists', KEYS[2]) == 1 then return {count, left, 0} end
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local every, ahead = tonumber(ARGV[3]), tonumber(ARGV[3]) * tonumber(ARGV[4])
local at = math.max(tonumber(redis.call('get', KEYS[3]) or 0), now - ahead) + every
if at - now > tonumber(ARGV[5]) then
  redis.call('decr', KEYS[1])
  return {count, left, at - now}
end
redis.call('set', KEYS[3], string.format('%.0f', at), 'PX', ahead + tonumber(ARGV[5]))
return {count, left, math.max(0, at - now)}`);

const TAKE_BACK = new RedisScript(`
if tonumber(redis.call('get', KEYS[1]) or 0) > 0 then redis.call('decr', KEYS[1]) end
return 0`);

export interface Counted {
  /** May this one be looked at, after `delayMs`? */
  readonly allowed: boolean;
  readonly delayMs: number;
  /** Tries of this address; when there are some and this one is not allowed, others have tried too often. */
  readonly left: number;
  /** Until there are tries again, seconds. */
  readonly waitSeconds: number;
}

interface Remembered {
  count: number;
  until: number;
}

/** Tries at passwords, counted by address: over all processes in Redis, in this one's memory while that is away. */
export class Tries {
  private readonly memory = new Map<string, Remembered>();
  private readonly known = new Set<string>();
  private pacedTo = 0;

  /** @param now ms since 1970. */
  constructor(
    private readonly redis: Redis,
    private readonly now: () => number = Date.now,
  ) {}

  async count(ip: string): Promise<Counted> {
    const address = clientNetwork(ip);
    const [count, left, turnMs] = await this.countInRedis(address).catch(() => this.countInMemory(address));
    if (turnMs > LONGEST_MS)
      return { allowed: false, delayMs: 0, left: TRIES - count + 1, waitSeconds: LONGEST_MS / 1000 };
    return {
      allowed: count <= TRIES,
      delayMs: turnMs,
      left: Math.max(0, TRIES - count),
      waitSeconds: Math.max(1, left),
    };
  }

  /** The operator's password was right: what was wrong before was a slip. */
  async forget(ip: string): Promise<void> {
    const address = this.remember(ip);
    this.memory.delete(address);
    await this.redis.client.del(PREFIX + address).catch(() => undefined);
  }

  /** This try was no guess; those before it may have been. */
  async takeBack(ip: string): Promise<void> {
    const address = this.remember(ip);
    const entry = this.memory.get(address);
    if (entry && entry.count > 0) entry.count--;
    await TAKE_BACK.run(this.redis.client, [PREFIX + address], []).catch(() => undefined);
  }

  /** Somebody who may has signed in from there. */
  private remember(ip: string): string {
    const address = clientNetwork(ip);
    this.known.add(address);
    dropOldest(this.known);
    this.redis.client.set(KNOWN + address, '1', { EX: KNOWN_SECONDS }).catch(() => undefined);
    return address;
  }

  private async countInRedis(address: string): Promise<[number, number, number]> {
    const reply = await COUNT.run(
      this.redis.client,
      [PREFIX + address, KNOWN + address, PACE],
      [TRIES, PAUSE_SECONDS, EVERY_MS, AT_ONCE, LONGEST_MS].map(String),
    );
    return reply as [number, number, number];
  }

  private countInMemory(address: string): [number, number, number] {
    const ms = this.now();
    const now = ms / 1000;
    const seen = this.memory.get(address);
    const entry = seen && seen.until > now ? seen : { count: 0, until: now + PAUSE_SECONDS };
    entry.count++;
    if (entry.count === TRIES) entry.until = now + PAUSE_SECONDS;
    this.memory.delete(address);
    this.memory.set(address, entry);
    dropOldest(this.memory);
    const { count } = entry;
    const left = Math.ceil(entry.until - now);
    if (count > TRIES || this.known.has(address)) return [count, left, 0];
    const at = Math.max(this.pacedTo, ms - EVERY_MS * AT_ONCE) + EVERY_MS;
    if (at - ms > LONGEST_MS) entry.count--;
    else this.pacedTo = at;
    return [count, left, Math.max(0, at - ms)];
  }
}

function dropOldest(memory: Map<string, unknown> | Set<string>): void {
  const [oldest] = memory.keys();
  if (memory.size > REMEMBERED && oldest !== undefined) memory.delete(oldest);
}
