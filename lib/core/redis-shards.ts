import type { Deadline } from '../support/async';
import { Events } from './events';
import type { Redis, RedisClient } from './redis';
import { answerWithin } from './redis-script';
import { redisPlace, SHARDS } from './redis-url';

/** Time limit of one server's answer, ms: a server that is frozen must not hold up the queues of the others. */
export const SHARD_MS = 1000;
/** A server that has not answered in time is asked nothing for this long, ms, unless it has been reconnected meanwhile. */
const SUSPECT_MS = 5000;

/** One of the servers of REDIS_SHARDS. */
export class RedisShard {
  readonly redis: Redis;
  /** Its host and port, for messages. */
  readonly place: string;
  /** The error that ended its connection, and the time since which it has not answered, ms on the monotonic clock. */
  private lost: { readonly error: Error; readonly at: number } | undefined;
  private suspectUntil = Number.NEGATIVE_INFINITY;
  /** The time since which it has not answered, ms on the monotonic clock. */
  private suspectedAt = 0;

  constructor(
    readonly url: string,
    /** Those of REDIS_SHARDS, in its order. */
    readonly queues: readonly string[],
    private readonly events: Events,
    create: (url: string, events: Events) => Redis,
  ) {
    this.place = redisPlace(url);
    const own = new Events();
    this.redis = create(url, own);
    own.on('redis.lost', ({ error }) => {
      // A frozen server had stopped answering some time before the connection ended.
      const now = performance.now();
      this.lost = { error, at: now < this.suspectUntil + SUSPECT_MS ? this.suspectedAt : now };
      this.warn(`is not reachable: ${error.message || error.name}; reconnecting`);
    });
    own.on('redis.ready', () => {
      this.lost = undefined;
      this.suspectUntil = Number.NEGATIVE_INFINITY;
      events.emit('shard.ready', {});
    });
  }

  /** Names it with its queues: `mailer, reports at b:6379`. */
  get about(): string {
    return `${this.queues.join(', ')} at ${this.place}`;
  }

  get client(): RedisClient {
    return this.redis.client;
  }

  /** true while it is unavailable: it is asked nothing. */
  get isAway(): boolean {
    return !this.client.isReady || performance.now() < this.suspectUntil;
  }

  /** How long it has not answered, ms, and the error that ended its connection; undefined while it answers. */
  get outage(): { readonly error?: Error; readonly ms: number } | undefined {
    const now = performance.now();
    if (this.lost) return { error: this.lost.error, ms: now - this.lost.at };
    return this.isAway && now < this.suspectUntil ? { ms: now - this.suspectedAt } : undefined;
  }

  /** Call when it has not answered in time. */
  suspect(): void {
    const now = performance.now();
    if (now > this.suspectUntil + SUSPECT_MS) this.suspectedAt = now;
    this.suspectUntil = now + SUSPECT_MS;
  }

  /** @param what the end of a sentence about this server. */
  warn(what: string): void {
    const message = `Redis at ${this.place}, with the queues ${this.queues.join(', ')}, ${what}`;
    this.events.emit('process.warning', { message });
  }
}

/** The servers of REDIS_SHARDS: each holds the queues that are named for it there, with all their keys. */
export class RedisShards {
  readonly all: readonly RedisShard[];
  /** The URLs of the servers by queue. */
  readonly urls: Readonly<Record<string, string>>;
  private readonly byQueue: ReadonlyMap<string, RedisShard>;

  /**
   * @param home the client of REDIS_URL. @param url REDIS_URL with the other URLs in it. @param create connects to a server.
   */
  constructor(
    private readonly home: RedisClient,
    url: string,
    events: Events,
    create: (url: string, events: Events) => Redis,
  ) {
    const urls = shardUrls(url);
    this.urls = urls;
    this.all = [...new Set(Object.values(urls))].map((url) => {
      const queues = Object.keys(urls).filter((queue) => urls[queue] === url);
      return new RedisShard(url, queues, events, create);
    });
    this.byQueue = new Map(this.all.flatMap((shard) => shard.queues.map((queue) => [queue, shard] as const)));
  }

  /** Does not wait for the connections. */
  async start(): Promise<void> {
    await Promise.all(this.all.map(({ redis }) => redis.start()));
  }

  async stop(deadline: Deadline): Promise<void> {
    await Promise.all(this.all.map(({ redis }) => redis.stop(deadline)));
  }

  /** Waits for the first attempt to connect to each, successful or not. */
  async firstAttempt(deadline: Deadline): Promise<void> {
    await Promise.all(this.all.map(({ redis }) => redis.firstAttempt(deadline.remaining())));
  }

  /** @returns the client of the server that a queue lives on. */
  clientOf(queue: string): RedisClient {
    return this.byQueue.get(queue)?.client ?? this.home;
  }

  /** Splits queues, or items of queues, by their servers; that of REDIS_URL comes first, perhaps with none. */
  split<T extends string | { readonly queue: string }>(items: readonly T[]): Map<RedisClient, T[]> {
    const parts = new Map<RedisClient, T[]>([[this.home, []]]);
    for (const item of items) {
      const client = this.clientOf(typeof item === 'string' ? item : item.queue);
      const part = parts.get(client);
      if (part) part.push(item);
      else parts.set(client, [item]);
    }
    return parts;
  }

  /** @returns undefined for the client of REDIS_URL. */
  shardOf(client: RedisClient): RedisShard | undefined {
    return this.all.find((shard) => shard.client === client);
  }

  /** Queues of unavailable servers. */
  get awayQueues(): readonly string[] {
    return this.all.flatMap((shard) => (shard.isAway ? shard.queues : []));
  }

  /** Call when a server has not answered in time. */
  suspect(client: RedisClient): void {
    this.shardOf(client)?.suspect();
  }

  /** Reads from all servers at once. One of REDIS_SHARDS that is unavailable, or answers after SHARD_MS, adds nothing. */
  async read<T>(
    queues: readonly string[],
    read: (server: RedisClient, queues: readonly string[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const parts = this.split(queues);
    const ofShard = async (shard: RedisShard) => {
      if (shard.isAway) return [];
      return answerWithin(SHARD_MS, read(shard.client, parts.get(shard.client) ?? [])).catch(() => {
        shard.suspect();
        return [];
      });
    };
    const [own, ...others] = await Promise.all([
      read(this.home, parts.get(this.home) ?? []),
      ...this.all.map((shard) => ofShard(shard)),
    ]);
    return [...own, ...others.flat()];
  }
}

/** @returns the URLs of REDIS_SHARDS by queue; none without that setting. */
export function shardUrls(url: string): Readonly<Record<string, string>> {
  return JSON.parse(new URL(url).searchParams.get(SHARDS) ?? '{}') as Record<string, string>;
}
