import { codeOf } from '../core/errors';
import type { EventMap, Events } from '../core/events';
import { type RecentEvent, recentEvent } from '../core/notable-events';
import type { Redis } from '../core/redis';
import type { Database } from '../model/database';
import { Deadline, toError } from '../support/async';
import { PeriodicTask } from '../support/periodic-task';

type ServiceName = EventMap['service.lost']['service'];

const CHECK_INTERVAL_MS = 1000;
/** Intervals of the pings while the tree is idle, ms: a Postgres that sleeps when nobody needs it may do so. */
const IDLE_INTERVAL_MS: Readonly<Record<ServiceName, number>> = { redis: 10_000, postgres: 1_800_000 };
/** Timeout of one ping, ms. */
const PATIENCE_MS = 2000;
/** A single broken connection is no outage, so it takes two failures in a row. */
const FAILURES = 2;

export interface OutageWatchOptions {
  readonly redis: Redis;
  readonly database: Pick<Database, 'ping' | 'poolUse'>;
  readonly events: Events;
  /** Makes the whole tree keep the event. */
  readonly tell: (event: RecentEvent) => Promise<void>;
  /** @returns true while the tree has nothing to do. Default: it is never idle. */
  readonly isIdle?: () => boolean;
  /** Interval of the checks, ms. Default 1000. */
  readonly everyMs?: number;
}

interface Seen {
  /** Time of the first failure, ms on the monotonic clock; undefined while the service answers. */
  since: number | undefined;
  failures: number;
  /** Time of the last ping, likewise. */
  pingedAt: number;
}

const unseen = (): Seen => ({ since: undefined, failures: 0, pingedAt: Number.NEGATIVE_INFINITY });

/** Pings Redis and Postgres, so that an outage is reported with its length. One process of a tree does this. */
export class OutageWatch {
  private readonly seen: Readonly<Record<ServiceName, Seen>> = {
    redis: unseen(),
    postgres: unseen(),
  };
  private readonly task: PeriodicTask;
  /** The reason why the connection to Redis broke: commands only say that there is none. */
  private lost: Error | undefined;

  constructor(private readonly options: OutageWatchOptions) {
    const { events, everyMs = CHECK_INTERVAL_MS } = options;
    events.on('redis.lost', ({ error }) => {
      this.lost = error;
    });
    this.task = new PeriodicTask({
      everyMs,
      work: async () => {
        await Promise.all([this.check('redis'), this.check('postgres')]);
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'looking whether Redis and Postgres answer' }),
    });
  }

  start(): void {
    this.task.start();
  }

  /** Stops, and forgets outages that go on: the process that is appointed next reports those. */
  async stop(): Promise<void> {
    await this.task.stop();
    for (const seen of Object.values(this.seen)) Object.assign(seen, unseen());
  }

  private async check(service: ServiceName): Promise<void> {
    const seen = this.seen[service];
    const begun = performance.now();
    const isConnected = service === 'postgres' || this.options.redis.client.isReady;
    const isDue = begun - seen.pingedAt >= IDLE_INTERVAL_MS[service];
    if (seen.since === undefined && isConnected && !isDue && this.options.isIdle?.()) return;
    seen.pingedAt = begun;
    const error = await this.failureOf(service);
    if (error === 'unknown') return;
    if (error) {
      seen.since ??= begun;
      if (++seen.failures === FAILURES) await this.tell('service.lost', { service, cause: codeOf(error) });
      return;
    }
    const { since, failures } = seen;
    seen.since = undefined;
    seen.failures = 0;
    if (since === undefined || failures < FAILURES) return;
    await this.tell('service.restored', { service, outageMs: Math.round(performance.now() - since) });
  }

  /** `unknown`: every connection of the pool is in use, which says nothing about Postgres. */
  private async failureOf(service: ServiceName): Promise<Error | undefined | 'unknown'> {
    const { redis, database } = this.options;
    if (service === 'postgres') {
      const { used, waiting, max } = database.poolUse();
      if (used >= max || waiting > 0) return 'unknown';
    } else if (!redis.client.isReady) return this.lost ?? new Error('no connection yet');
    try {
      const ping = service === 'redis' ? redis.ping() : database.ping(PATIENCE_MS);
      const answered = await Deadline.after(PATIENCE_MS).wait(ping);
      return answered === 'late' ? new Error(`no answer within ${PATIENCE_MS / 1000} s`) : undefined;
    } catch (thrown) {
      return toError(thrown);
    }
  }

  private async tell<E extends 'service.lost' | 'service.restored'>(name: E, payload: EventMap[E]): Promise<void> {
    const { events, tell } = this.options;
    events.emit(name, payload);
    // A primary that does not answer is reported elsewhere.
    await tell(recentEvent(name, payload)).catch(() => undefined);
  }
}
