import { recentEvent } from '../cluster/primary/tree-monitor';
import type { RecentEvent } from '../cluster/status';
import { codeOf } from '../core/errors';
import type { EventMap, Events } from '../core/events';
import type { Redis } from '../core/redis';
import type { Database } from '../model/database';
import { Deadline, toError } from '../support/async';
import { PeriodicTask } from '../support/periodic-task';

type ServiceName = EventMap['service.lost']['service'];

const LOOK_MS = 1000;
/** Who has not answered by then does not answer, ms. */
const PATIENCE_MS = 2000;
/** One connection that breaks is no outage. */
const FAILURES = 2;

export interface OutageWatchOptions {
  readonly redis: Redis;
  readonly database: Pick<Database, 'ping' | 'poolUse'>;
  readonly events: Events;
  /** Has the whole tree remember it. */
  readonly tell: (event: RecentEvent) => Promise<void>;
  /** How often it looks, ms. Default 1000. */
  readonly everyMs?: number;
}

interface Seen {
  /** Since when it has not answered, on the monotonic clock; undefined while it does. */
  since: number | undefined;
  failures: number;
}

/** Looks whether Redis and Postgres answer, so that an outage is told of with its length. One process of a tree does it. */
export class OutageWatch {
  private readonly seen: Readonly<Record<ServiceName, Seen>> = {
    redis: { since: undefined, failures: 0 },
    postgres: { since: undefined, failures: 0 },
  };
  private readonly chore: PeriodicTask;
  /** Why the connection to Redis broke: commands tell only that there is none. */
  private lost: Error | undefined;

  constructor(private readonly options: OutageWatchOptions) {
    const { events, everyMs = LOOK_MS } = options;
    events.on('redis.lost', ({ error }) => {
      this.lost = error;
    });
    this.chore = new PeriodicTask({
      everyMs,
      work: async () => {
        await Promise.all([this.look('redis'), this.look('postgres')]);
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'looking whether Redis and Postgres answer' }),
    });
  }

  start(): void {
    this.chore.start();
  }

  /** What is away by then is somebody else's to tell of. */
  async stop(): Promise<void> {
    await this.chore.stop();
    for (const seen of Object.values(this.seen)) Object.assign(seen, { since: undefined, failures: 0 });
  }

  private async look(service: ServiceName): Promise<void> {
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

  /** `unknown`: every connection of the pool is in use, which says nothing of Postgres. */
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
    // A primary that does not answer has other troubles, and is told of by others.
    await tell(recentEvent(name, payload)).catch(() => undefined);
  }
}
