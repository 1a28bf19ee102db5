import type { Redis } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { clientNetwork } from '../../support/text';

/** Number of tries that one address has before it must pause. */
export const MAX_TRIES = 5;
/** Length of that pause, s. */
export const PAUSE_SECONDS = 15 * 60;
const PREFIX = 'catamount:ops:tries:';
const KNOWN = 'catamount:ops:known:';
const PACE = 'catamount:ops:pace';
/** An address with a successful sign-in stays exempt from the shared pace for this long, s. */
const KNOWN_SECONDS = 90 * 24 * 60 * 60;
/** Maximum number of addresses kept in memory while Redis is unavailable. */
const MAX_REMEMBERED = 10_000;
/** Shared pace of all unknown addresses: a burst, then one try per interval; a try waits at most MAX_DELAY_MS. */
const MAX_BURST = 30;
const EVERY_MS = 1000;
const MAX_DELAY_MS = 10_000;

/**
 * Counts before the password is checked, so that concurrent tries cannot slip past the limit. Tries from unknown
 * addresses also share one pace (GCRA); a try rejected for it does not count against its address.
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
  /** The password may be checked, after `delayMs`. */
  readonly allowed: boolean;
  readonly delayMs: number;
  /** Tries left for this address; above 0 without `allowed`: the shared pace rejected the try. */
  readonly left: number;
  /** Seconds until the next try may be made. */
  readonly waitSeconds: number;
}

interface Remembered {
  count: number;
  until: number;
}

/**
 * Counts password tries by address: in Redis for all processes, in this process's memory while Redis is unavailable.
 */
export class SignInThrottle {
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
    if (turnMs > MAX_DELAY_MS)
      return { allowed: false, delayMs: 0, left: MAX_TRIES - count + 1, waitSeconds: MAX_DELAY_MS / 1000 };
    return {
      allowed: count <= MAX_TRIES,
      delayMs: turnMs,
      left: Math.max(0, MAX_TRIES - count),
      waitSeconds: Math.max(1, left),
    };
  }

  /** After the operator's password: the wrong tries before it were typing errors. */
  async forget(ip: string): Promise<void> {
    const address = this.remember(ip);
    this.memory.delete(address);
    await this.redis.client.del(PREFIX + address).catch(() => undefined);
  }

  /** After a viewer's password: this try was right, but those before it may have been guesses. */
  async takeBack(ip: string): Promise<void> {
    const address = this.remember(ip);
    const entry = this.memory.get(address);
    if (entry && entry.count > 0) entry.count--;
    await TAKE_BACK.run(this.redis.client, [PREFIX + address], []).catch(() => undefined);
  }

  /** Marks the address as known after a successful sign-in. */
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
      [MAX_TRIES, PAUSE_SECONDS, EVERY_MS, MAX_BURST, MAX_DELAY_MS].map(String),
    );
    return reply as [number, number, number];
  }

  private countInMemory(address: string): [number, number, number] {
    const ms = this.now();
    const now = ms / 1000;
    const seen = this.memory.get(address);
    const entry = seen && seen.until > now ? seen : { count: 0, until: now + PAUSE_SECONDS };
    entry.count++;
    if (entry.count === MAX_TRIES) entry.until = now + PAUSE_SECONDS;
    this.memory.delete(address);
    this.memory.set(address, entry);
    dropOldest(this.memory);
    const { count } = entry;
    const left = Math.ceil(entry.until - now);
    if (count > MAX_TRIES || this.known.has(address)) return [count, left, 0];
    const at = Math.max(this.pacedTo, ms - EVERY_MS * MAX_BURST) + EVERY_MS;
    if (at - ms > MAX_DELAY_MS) entry.count--;
    else this.pacedTo = at;
    return [count, left, Math.max(0, at - ms)];
  }
}

function dropOldest(memory: Map<string, unknown> | Set<string>): void {
  const [oldest] = memory.keys();
  if (memory.size > MAX_REMEMBERED && oldest !== undefined) memory.delete(oldest);
}
