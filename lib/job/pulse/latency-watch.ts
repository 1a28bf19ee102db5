import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { msUntilDue } from '../outbox/claim';
import { countOverdue } from '../outbox/overdue';
import { queueNames } from '../queue/queue-names';
import { type QueueStatus, readQueues } from '../queue/queue-status';
import { Recurring } from '../recurring';
import { ProcessList } from './process-list';

export interface LatencyWatchOptions {
  readonly redis: RedisClient;
  readonly knex: Knex;
  readonly events: Events;
  /** Those that this processor serves. */
  readonly queues: readonly string[];
  /** Of these the outbox keeps what Redis should not hold yet. */
  readonly fullQueues: () => readonly string[];
  /** A queue whose oldest job has waited for longer is behind, ms. 0: never. */
  readonly warningMs: number;
  /** How often it looks, ms. */
  readonly everyMs: number;
}

/**
 * Notices when jobs wait for too long, on a queue that is served here or nowhere, or in the outbox before it: once when
 * it begins, and once when they wait for less than half of that again.
 */
export class LatencyWatch {
  private readonly behind = new Set<string>();
  private outboxBehind = false;
  private readonly processes: ProcessList;
  private readonly chore: Recurring;

  constructor(private readonly options: LatencyWatchOptions) {
    this.processes = new ProcessList(options.redis);
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
    const { redis, queues } = this.options;
    if (redis.isReady) {
      const unserved = await this.unservedQueues();
      for (const status of await readQueues(redis, [...queues, ...unserved])) {
        this.judgeQueue(status, queues.includes(status.name));
      }
    }
    await this.judgeOutbox();
  }

  private async unservedQueues(): Promise<string[]> {
    const { redis, queues } = this.options;
    const others = (await queueNames(redis)).filter((name) => !queues.includes(name));
    if (others.length === 0) return others;
    const served = new Set((await this.processes.list()).flatMap((one) => one.queues));
    return others.filter((name) => !served.has(name));
  }

  private judgeQueue({ name, waiting, paused, latencyMs }: QueueStatus, served: boolean): void {
    const before = this.behind.has(name);
    // A paused queue waits because somebody wants it to.
    const behind = !paused && this.isBehind(latencyMs, before);
    if (behind === before) return;
    const state = { queue: name, latencyMs, size: waiting };
    if (behind) {
      this.behind.add(name);
      this.options.events.emit('queue.slow', { ...state, served });
    } else {
      this.behind.delete(name);
      this.options.events.emit('queue.caught-up', state);
    }
  }

  private async judgeOutbox(): Promise<void> {
    const { knex, events, fullQueues } = this.options;
    const except = fullQueues();
    const latencyMs = Math.max(0, -((await msUntilDue(knex, except)) ?? 0));
    const behind = this.isBehind(latencyMs, this.outboxBehind);
    if (behind === this.outboxBehind) return;
    const size = await countOverdue(knex, except);
    this.outboxBehind = behind;
    events.emit(behind ? 'outbox.slow' : 'outbox.caught-up', { latencyMs, size });
  }

  private isBehind(latencyMs: number, before: boolean): boolean {
    const { warningMs } = this.options;
    return latencyMs > (before ? warningMs / 2 : warningMs);
  }
}
