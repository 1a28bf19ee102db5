import { codeOf } from '../core/errors';
import type { EventMap, Events } from '../core/events';
import { type RecentEvent, recentEvent } from '../core/notable-events';
import type { Redis } from '../core/redis';
import type { Database } from '../model/database';
import { Deadline, toError } from '../support/async';
import { PeriodicTask } from '../support/periodic-task';

type ServiceName = EventMap['service.lost']['service'];

const CHECK_INTERVAL_MS = 1000;
/**
 * Intervals of the pings while the tree is idle, ms. They are long, since a serverless Postgres should be allowed to
 * suspend, and Redis already answers the heartbeats.
 */
const IDLE_INTERVAL_MS: Readonly<Record<ServiceName, number>> = { redis: 17_000, postgres: 1_800_000 };
/** Timeout of one ping, ms. */
const PATIENCE_MS = 2000;
/** Failures in a row that make an outage. One is not enough: a single connection may have broken. */
const FAILURES = 2;

export interface OutageWatchOptions {
  readonly redis: Redis;
  readonly database: Pick<Database, 'ping' | 'poolUse'>;
  readonly events: Events;
  /** Has the whole tree keep the event. */
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
}

const unseen = (): Seen => ({ since: undefined, failures: 0 });

/** Pings Redis and Postgres, in one process of a tree, so that an outage is reported with its duration. */
export class OutageWatch {
  private readonly seen: Readonly<Record<ServiceName, Seen>> = {
    redis: unseen(),
    postgres: unseen(),
  };
  private readonly tasks: Readonly<Record<ServiceName, PeriodicTask>>;

  constructor(private readonly options: OutageWatchOptions) {
    this.tasks = { redis: this.taskFor('redis'), postgres: this.taskFor('postgres') };
  }

  start(): void {
    if (!this.options.redis.isOff) this.tasks.redis.start();
    this.tasks.postgres.start();
  }

  /** Stops, and forgets ongoing outages, which the next process to be appointed reports. */
  async stop(): Promise<void> {
    await Promise.all([this.tasks.redis.stop(), this.tasks.postgres.stop()]);
    for (const seen of Object.values(this.seen)) Object.assign(seen, unseen());
  }

  /** To be called when Redis has answered anything, so that an idle tree need not ping it. */
  redisAnswered(): void {
    this.tasks.redis.postpone();
  }

  private taskFor(service: ServiceName): PeriodicTask {
    const { events, redis, isIdle = () => false, everyMs = CHECK_INTERVAL_MS } = this.options;
    const isConnected = () => service === 'postgres' || redis.client.isReady;
    return new PeriodicTask({
      everyMs,
      idle: {
        everyMs: IDLE_INTERVAL_MS[service],
        is: () => this.seen[service].since === undefined && isConnected() && isIdle(),
      },
      work: () => this.check(service),
      onError: (error) => events.emit('process.error', { error, during: 'checking whether Redis and Postgres answer' }),
    });
  }

  private async check(service: ServiceName): Promise<undefined> {
    const seen = this.seen[service];
    const begun = performance.now();
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

  /** @returns `unknown` if every connection of the pool is in use, which says nothing about Postgres. */
  private async failureOf(service: ServiceName): Promise<Error | undefined | 'unknown'> {
    const { redis, database } = this.options;
    if (service === 'postgres') {
      const { used, waiting, max } = database.poolUse();
      if (used >= max || waiting > 0) return 'unknown';
    }
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
    // If the primary does not answer, that is reported elsewhere.
    await tell(recentEvent(name, payload)).catch(() => undefined);
  }
}
