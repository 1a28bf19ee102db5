import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { PeriodicTask } from '../../support/periodic-task';
import { countDue, msUntilDue } from '../outbox/table';
import { type QueueStatus, readKnownQueues } from '../queue/queue-status';

/** A queue with jobs that are due. */
export interface DueQueue {
  readonly queue: string;
  /** Time for which its oldest job has been due, ms. */
  readonly ms: number;
  /** The same when it was last read, ms. */
  readonly readMs: number;
  readonly paused: boolean;
}

export interface LatencyMonitorOptions {
  readonly redis: RedisClient;
  readonly knex: Knex;
  readonly events: Events;
  /** The queues that this processor serves. */
  readonly queues: readonly string[];
  /** @returns full queues; their rows wait in the outbox on purpose. */
  readonly fullQueues: () => readonly string[];
  /** @returns true if this process's relay leads: only that one knows the full queues. Default: it does. */
  readonly leads?: () => boolean;
  /** Latency above which a queue is reported, ms. 0: never. */
  readonly warningMs: number;
  /** Interval of the checks, ms. */
  readonly everyMs: number;
  /** @returns true while nothing happens in the outbox. Default: it is never idle. */
  readonly isIdle?: () => boolean;
}

/** Interval of the checks while nothing happens in the outbox, which is not queried then, ms. */
const IDLE_CHECK_MS = 30_000;

/**
 * Reports when jobs wait for too long on a queue that is served here or nowhere, or in the outbox: once when the
 * latency exceeds the limit, and once when it is back to half of it.
 */
export class LatencyMonitor {
  private readonly behind = new Set<string>();
  private outboxBehind = false;
  private due: readonly DueQueue[] = [];
  private readAt = performance.now();
  private checkedAt = Number.NEGATIVE_INFINITY;
  readonly task: PeriodicTask;

  constructor(private readonly options: LatencyMonitorOptions) {
    // Failures of the stores are reported by the code that works with them.
    this.task = new PeriodicTask({ everyMs: options.everyMs, work: () => this.check(), onError: () => undefined });
  }

  /** The queues of this processor with jobs that are due; the time since the last read is included. */
  get waiting(): readonly DueQueue[] {
    const sinceMs = performance.now() - this.readAt;
    return this.due.map(({ ms, ...queue }) => ({ ...queue, ms: ms + sinceMs }));
  }

  private async check(): Promise<undefined> {
    const { redis, queues, isIdle } = this.options;
    const isCalm = !this.outboxBehind && this.behind.size === 0 && this.due.length === 0;
    const idle = isCalm && (isIdle?.() ?? false);
    if (idle && performance.now() - this.checkedAt < IDLE_CHECK_MS) return;
    this.checkedAt = performance.now();
    if (redis.isReady) {
      const known = await readKnownQueues(redis, queues);
      const unserved = await this.unservedQueues(known);
      const statuses = known.filter(({ name }) => queues.includes(name) || unserved.has(name));
      this.readAt = performance.now();
      // A queue that nobody serves is reported as that: it is no work of this processor that is overdue.
      this.due = statuses.flatMap(({ name, latencyMs, paused }) =>
        latencyMs > 0 && queues.includes(name)
          ? [{ queue: name, ms: latencyMs, readMs: latencyMs, paused: paused !== undefined }]
          : [],
      );
      for (const status of statuses) {
        this.judgeQueue(status, queues.includes(status.name));
      }
    }
    if (!idle && this.options.warningMs > 0) await this.judgeOutbox();
  }

  private async unservedQueues(known: readonly QueueStatus[]): Promise<ReadonlySet<string>> {
    const { redis, queues } = this.options;
    const others = known.map(({ name }) => name).filter((name) => !queues.includes(name));
    if (others.length === 0) return new Set();
    // Loaded on demand: in most apps every queue is served by every processor.
    const { ProcessList } = await import('./process-list');
    const served = new Set((await new ProcessList(redis).list({ watch: false })).flatMap((one) => one.queues));
    return new Set(others.filter((name) => !served.has(name)));
  }

  private judgeQueue({ name, waiting, paused, latencyMs }: QueueStatus, served: boolean): void {
    const before = this.behind.has(name);
    // The latency of a paused queue is intended.
    const behind = !paused && this.isBehind(latencyMs, before);
    if (behind === before) return;
    const state = { queue: name, latencyMs, size: waiting };
    if (behind) {
      this.behind.add(name);
      this.options.events.emit('queue.latency-high', { ...state, served });
    } else {
      this.behind.delete(name);
      this.options.events.emit('queue.latency-normal', state);
    }
  }

  private async judgeOutbox(): Promise<void> {
    const { knex, events, fullQueues, leads } = this.options;
    if (leads?.() === false) {
      this.outboxBehind = false;
      return;
    }
    const except = fullQueues();
    const latencyMs = Math.max(0, -((await msUntilDue(knex, except)) ?? 0));
    const behind = this.isBehind(latencyMs, this.outboxBehind);
    if (behind === this.outboxBehind) return;
    const size = await countDue(knex, except);
    this.outboxBehind = behind;
    events.emit(behind ? 'outbox.latency-high' : 'outbox.latency-normal', { latencyMs, size });
  }

  private isBehind(latencyMs: number, before: boolean): boolean {
    const { warningMs } = this.options;
    return warningMs > 0 && latencyMs > (before ? warningMs / 2 : warningMs);
  }
}
