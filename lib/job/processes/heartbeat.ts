import type { Events } from '../../core/events';
import { HeartbeatRegistry } from '../../core/heartbeat-registry';
import type { Redis } from '../../core/redis';
import type { Deadline } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { PROCESS_KEYS, type ProcessInfo } from './process-info';

const HEARTBEAT_MS = 1000;
/** Default interval at which a processor checks its queues and writes its statistics, ms. */
export const HEARTBEAT_INFO_MS = 5000;
/** TTL of a processor's status after its last heartbeat, s. */
const TTL_S = 30;
/** An idle processor that nobody watches sends only every nth heartbeat. */
const IDLE_EVERY = 15;
const IDLE_AFTER_MS = 60_000;

export interface HeartbeatTuning {
  /** Interval of heartbeats, each with the status, ms. Default 1000; 15 times as long while it is idle. */
  readonly heartbeatMs?: number | undefined;
  /** It is idle when it has run no job for this long and nobody watches it, ms. Default 60,000. */
  readonly idleAfterMs?: number | undefined;
  /** Interval at which it checks its queues and writes its statistics, ms. Default 5000. */
  readonly infoMs?: number | undefined;
}

interface HeartbeatOptions extends HeartbeatTuning {
  readonly redis: Redis;
  readonly events: Events;
  readonly identity: string;
  /** @returns the time at which it last had a job, ms on the monotonic clock. */
  readonly activeAt: () => number;
  readonly describe: () => ProcessInfo;
}

/**
 * Keeps a processor on the list of processes. Each second it sends a heartbeat with its status. Whose jobs are rescued is
 * decided in Postgres (`row/rescue`).
 *
 * While it is idle it sends fewer. A watcher brings the next one at once.
 */
export class Heartbeat {
  private readonly task: PeriodicTask;
  private isWatched = false;
  private unsubscribe: (() => void) | undefined;
  private canBeWoken: () => boolean = () => false;
  private readonly everyMs: number;
  private readonly registry: HeartbeatRegistry;

  constructor(private readonly options: HeartbeatOptions) {
    const { events, redis, heartbeatMs = HEARTBEAT_MS } = options;
    this.registry = new HeartbeatRegistry(redis.client, PROCESS_KEYS);
    this.everyMs = heartbeatMs;
    this.task = new PeriodicTask({
      everyMs: IDLE_EVERY * heartbeatMs,
      work: () => this.pass(),
      onError: (error) => {
        // While Redis is unavailable its connection reports that.
        if (redis.client.isReady) events.emit('queue.error', { error, during: 'the heartbeat of the job processor' });
      },
    });
  }

  start(): void {
    const { events, redis, identity } = this.options;
    if (!this.unsubscribe) {
      this.unsubscribe = events.on('redis.ready', () => this.task.trigger());
      this.canBeWoken = redis.listen(PROCESS_KEYS.wake, (id) => {
        if (id === '' || id === identity) this.trigger();
      });
    }
    this.task.start();
  }

  /** Reports the status at once, since it has changed. */
  trigger(): void {
    this.task.trigger();
  }

  private isIdle(): boolean {
    const { activeAt, idleAfterMs = IDLE_AFTER_MS } = this.options;
    return performance.now() - activeAt() > idleAfterMs && !this.isWatched && this.canBeWoken();
  }

  /** Removes a processor from the list. @returns false when somebody else has removed it before. */
  deregister(identity: string): Promise<boolean> {
    return this.registry.deregister(identity);
  }

  /** Leaves the list. Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    await deadline.wait(this.task.stop());
    const { client } = this.options.redis;
    if (client.isReady) await deadline.wait(this.registry.deregister(this.options.identity)).catch(() => undefined);
  }

  /** @returns ms until the next heartbeat. */
  private async pass(): Promise<number | undefined> {
    const { redis, identity, describe } = this.options;
    if (!redis.client.isReady) return undefined;
    const isIdle = this.isIdle();
    const begun = performance.now();
    const reply = await this.registry.heartbeat(identity, {
      info: JSON.stringify(describe()),
      ttlS: TTL_S,
      aheadMs: isIdle ? (IDLE_EVERY - 1) * this.everyMs : 0,
    });
    const tookMs = performance.now() - begun;
    this.isWatched = reply.watched;
    // The round trip's time is subtracted, since jobs that block the event loop may leave it only moments in between.
    return Math.max(0, (isIdle ? IDLE_EVERY : 1) * this.everyMs - tookMs);
  }
}
