import net from 'node:net';
import type { Redis } from '../../core/redis';

/** Wrong passwords from one address before it must wait. */
export const TRIES = 5;
/** How long it must wait, seconds. */
export const PAUSE_SECONDS = 15 * 60;
const PREFIX = 'catamount:ops:tries:';
/** More addresses than this are not remembered while Redis is away. */
const REMEMBERED = 10_000;

/** Counts before the password is looked at, so that tries at the same time cannot slip through together. */
const COUNT = `
local count = redis.call('incr', KEYS[1])
if count == 1 or count == tonumber(ARGV[1]) then redis.call('expire', KEYS[1], ARGV[2]) end
return {count, redis.call('ttl', KEYS[1])}`;

export interface Counted {
  /** May this one be looked at? */
  readonly allowed: boolean;
  readonly left: number;
  /** Until there are tries again, seconds. */
  readonly waitSeconds: number;
}

interface Remembered {
  count: number;
  until: number;
}

/** Wrong passwords, counted by address: over all processes in Redis, in this one's memory while that is away. */
export class Tries {
  private readonly memory = new Map<string, Remembered>();

  /** @param now ms since 1970. */
  constructor(
    private readonly redis: Redis,
    private readonly now: () => number = Date.now,
  ) {}

  async count(ip: string): Promise<Counted> {
    const address = blockOf(ip);
    const [count, waitSeconds] = await this.countInRedis(address).catch(() => this.countInMemory(address));
    return { allowed: count <= TRIES, left: Math.max(0, TRIES - count), waitSeconds: Math.max(1, waitSeconds) };
  }

  /** The password was right. */
  async forget(ip: string): Promise<void> {
    const address = blockOf(ip);
    this.memory.delete(address);
    await this.redis.client.del(PREFIX + address).catch(() => undefined);
  }

  private async countInRedis(address: string): Promise<[number, number]> {
    const reply = await this.redis.client.eval(COUNT, {
      keys: [PREFIX + address],
      arguments: [String(TRIES), String(PAUSE_SECONDS)],
    });
    return reply as unknown as [number, number];
  }

  private countInMemory(address: string): [number, number] {
    const now = this.now() / 1000;
    const known = this.memory.get(address);
    const entry = known && known.until > now ? known : { count: 0, until: now + PAUSE_SECONDS };
    entry.count++;
    if (entry.count === TRIES) entry.until = now + PAUSE_SECONDS;
    this.memory.delete(address);
    this.memory.set(address, entry);
    const [oldest] = this.memory.keys();
    if (this.memory.size > REMEMBERED && oldest !== undefined) this.memory.delete(oldest);
    return [entry.count, Math.ceil(entry.until - now)];
  }
}

/** One subscriber has a whole /64 of IPv6. */
function blockOf(ip: string): string {
  const plain = ip.replace(/^::ffff:/i, '').replace(/%.*$/, '');
  if (!net.isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
