import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import { type QueueStatus, readQueues } from '../row/queue-status';

export interface DueQueue {
  readonly queue: string;
  /** Time for which its oldest job has been due, ms. */
  readonly ms: number;
  /** That time when the queue was last read, ms. */
  readonly readMs: number;
  readonly paused: boolean;
}

export interface LatencyMonitorOptions {
  readonly knex: Knex;
  readonly events: Events;
  readonly queues: readonly string[];
  /** Latency above which a queue is reported, ms. 0: never. */
  readonly warningMs: number;
  /** Interval of the checks, ms. */
  readonly everyMs: number;
  /** @returns true while no job is enqueued or run anywhere: Postgres is left alone then. Default: it is never idle. */
  readonly isIdle?: () => boolean;
}

/**
 * Reports when jobs wait for too long on a queue that is served here: once when the latency exceeds the limit, and once when it
 * is back to half of the limit. `health/judge` finds queues that nobody serves.
 */
export class LatencyMonitor {
  private readonly behind = new Set<string>();
  private due: readonly DueQueue[] = [];
  private readAt = performance.now();
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
    const { knex, queues, isIdle } = this.options;
    const isCalm = this.behind.size === 0 && this.due.length === 0;
    if (isCalm && isIdle?.()) return;
    const statuses = await readQueues(knex, queues);
    this.readAt = performance.now();
    this.due = statuses.flatMap(({ name, latencyMs, paused }) =>
      latencyMs > 0 ? [{ queue: name, ms: latencyMs, readMs: latencyMs, paused: paused !== undefined }] : [],
    );
    for (const status of statuses) this.judgeQueue(status);
  }

  private judgeQueue({ name, waiting, paused, latencyMs }: QueueStatus): void {
    const before = this.behind.has(name);
    // The latency of a paused queue is intended.
    const behind = !paused && this.isBehind(latencyMs, before);
    if (behind === before) return;
    const state = { queue: name, latencyMs, size: waiting };
    if (behind) {
      this.behind.add(name);
      this.options.events.emit('queue.latency-high', state);
    } else {
      this.behind.delete(name);
      this.options.events.emit('queue.latency-normal', state);
    }
  }

  private isBehind(latencyMs: number, before: boolean): boolean {
    const { warningMs } = this.options;
    return warningMs > 0 && latencyMs > (before ? warningMs / 2 : warningMs);
  }
}
