import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { type Overdue, overdueRows } from '../outbox/overdue';
import { Recurring } from '../recurring';
import { queueLatencies } from './queue-latencies';

export interface LatencyWatchOptions {
  readonly redis: RedisClient;
  readonly knex: Knex;
  readonly events: Events;
  readonly queues: readonly string[];
  /** A queue whose oldest job has waited for longer is behind, ms. 0: never. */
  readonly warningMs: number;
  /** How often it looks, ms. */
  readonly everyMs: number;
}

/**
 * Notices when jobs wait for too long, on their queue or in the outbox before it: once when it begins, and once when
 * they wait for less than half of that again.
 */
export class LatencyWatch {
  private readonly behind = new Set<string>();
  private outboxBehind = false;
  private readonly chore: Recurring;

  constructor(private readonly options: LatencyWatchOptions) {
    // Stores that do not answer are told of by those who work with them.
    this.chore = new Recurring({ everyMs: options.everyMs, work: () => this.look(), onError: () => undefined });
  }

  start(): void {
    if (this.options.warningMs > 0) this.chore.start();
  }

  stop(): Promise<void> {
    return this.chore.stop();
  }

  private async look(): Promise<undefined> {
    const { redis, knex, queues, events } = this.options;
    if (redis.isReady) {
      for (const queue of await queueLatencies(redis, queues)) this.judgeQueue(queue);
    }
    const outbox = await overdueRows(knex);
    const behind = this.isBehind(outbox, this.outboxBehind);
    if (behind !== this.outboxBehind) events.emit(behind ? 'outbox.slow' : 'outbox.caught-up', outbox);
    this.outboxBehind = behind;
  }

  private judgeQueue({ queue, latencyMs, size }: Overdue & { readonly queue: string }): void {
    const { events } = this.options;
    const before = this.behind.has(queue);
    const behind = this.isBehind({ latencyMs, size }, before);
    if (behind === before) return;
    events.emit(behind ? 'queue.slow' : 'queue.caught-up', { queue, latencyMs, size });
    if (behind) this.behind.add(queue);
    else this.behind.delete(queue);
  }

  private isBehind({ latencyMs }: Overdue, before: boolean): boolean {
    const { warningMs } = this.options;
    return latencyMs > (before ? warningMs / 2 : warningMs);
  }
}
