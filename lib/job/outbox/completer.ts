import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { PeriodicTask } from '../../support/periodic-task';
import { queueKey, TOMBSTONE_TTL_MS } from '../queue/keys';
import { queueNames } from '../queue/queue-status';
import { forgetIdleQueues, takeDropped } from '../queue/queue-upkeep';
import { type DroppedJobs, deleteEnded, forgetHandovers, handOver, pruneDead } from './dead-jobs';

/** Rows per DELETE statement. */
const BATCH = 1000;
/** Time for which ids are gathered into one batch, ms. */
const GATHER_MS = 25;
const SWEEP_MS = 10_000;
/** Interval of sweeps while nothing happens, ms. */
const IDLE_SWEEP_MS = 300_000;
const ANSWER_MS = 5000;
/** Maximum number of deaths kept in memory until they are handed over; a sweep finds the rest. */
const MAX_DIED = 10_000;
const PRUNE_INTERVAL_MS = 3_600_000;
/** After this many deaths the limits of the dead set are checked before the interval is over. */
const PRUNE_AFTER = 1000;

export interface CompleterOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** The queues that this process serves. */
  readonly queues: readonly string[];
  readonly onDropped: (dropped: DroppedJobs) => void;
  readonly onError: (error: Error) => void;
  /** @returns true while nothing happens in the outbox. Default: it is never idle. */
  readonly isIdle?: () => boolean;
  /** Interval of the sweep for ids that other processes left behind, ms. Default 10,000. */
  readonly sweepMs?: number | undefined;
}

interface Ended {
  readonly queue: string;
  readonly id: string;
}

/**
 * Deletes the outbox rows of jobs that have an outcome. Redis has each id in `ended` first, and keeps it there until
 * the row is deleted, so a sweep of the next process finds what a crashed one left. The ids are also kept here, so that
 * no job runs twice even when Redis is emptied at that moment. Jobs that have died are handed over to Postgres, where
 * they stay until the limits of the dead set remove them.
 */
export class Completer {
  private finished: Ended[] = [];
  private died: Ended[] = [];
  private prunedAt = Number.NEGATIVE_INFINITY;
  private unpruned = 0;
  private sweptAt = Number.NEGATIVE_INFINITY;
  private readonly sweepMs: number;
  /** A stop `finish`es it: ids that its last pass misses stay in `ended`. */
  readonly task: PeriodicTask;

  constructor(private readonly options: CompleterOptions) {
    this.sweepMs = options.sweepMs ?? SWEEP_MS;
    this.task = new PeriodicTask({ everyMs: this.sweepMs, work: () => this.pass(), onError: options.onError });
  }

  /** Call when a job from the outbox has its outcome. */
  add(queue: string, id: string): void {
    this.finished.push({ queue, id });
    this.task.triggerIn(GATHER_MS);
  }

  /** Call when a job has died: Redis has it in `dead`. */
  addDead(queue: string, id: string): void {
    // There are more only while Postgres is unavailable for long; the sweep finds the rest.
    if (this.died.length < MAX_DIED) this.died.push({ queue, id });
    this.task.triggerIn(GATHER_MS);
  }

  private async pass(): Promise<number | undefined> {
    await this.completeOwn();
    await this.handOverOwn();
    // The last pass of a stop is for its own jobs.
    if (this.task.stopped) return undefined;
    await this.prune();
    const now = performance.now();
    const sweepMs = this.options.isIdle?.() ? Math.max(IDLE_SWEEP_MS, this.sweepMs) : this.sweepMs;
    if (now - this.sweptAt < sweepMs || !this.options.redis.isReady) return undefined;
    const { redis, queues } = this.options;
    // Queues that no processor serves are swept, too, since operators may end jobs there.
    const others = (await queueNames(redis)).filter((queue) => !queues.includes(queue));
    for (const queue of [...queues, ...others]) await this.sweep(queue);
    await forgetIdleQueues(redis, others);
    this.sweptAt = now;
    return undefined;
  }

  private async completeOwn(): Promise<void> {
    // Ids that arrive meanwhile are left for a later pass.
    const until = this.finished.length;
    for (let completed = 0; completed < until; completed += BATCH) {
      const batch = this.finished.slice(0, BATCH);
      await deleteEnded(this.options.knex, batch);
      this.finished.splice(0, batch.length);
      await this.forget(batch);
    }
  }

  /** Hands over the deaths of this process. If Postgres is unavailable, a sweep hands them over later. */
  private async handOverOwn(): Promise<void> {
    const { options } = this;
    const died = this.died.splice(0);
    if (!options.redis.isReady) return;
    for (const queue of new Set(died.map((job) => job.queue))) {
      const ids = died.filter((job) => job.queue === queue).map((job) => job.id);
      this.unpruned += await handOver(options, queue, ids);
    }
  }

  private async prune(): Promise<void> {
    const now = performance.now();
    if (this.unpruned < PRUNE_AFTER && now - this.prunedAt < PRUNE_INTERVAL_MS) return;
    for (const dropped of await pruneDead(this.options.knex)) this.options.onDropped(dropped);
    await forgetHandovers(this.options.knex);
    this.prunedAt = now;
    this.unpruned = 0;
  }

  private async sweep(queue: string): Promise<void> {
    const { knex, redis } = this.options;
    const key = queueKey(queue, 'ended');
    let ids: string[];
    do {
      ids = await answerWithin(ANSWER_MS, redis.zRange(key, 0, BATCH - 1));
      if (ids.length === 0) break;
      await deleteEnded(
        knex,
        ids.map((id) => ({ queue, id })),
      );
      await answerWithin(ANSWER_MS, redis.zRem(key, ids));
    } while (ids.length === BATCH);
    this.unpruned += await handOver(this.options, queue);
    const count = await takeDropped(redis, queue);
    if (count > 0) this.options.onDropped({ queue, count, reason: 'limit' });
    const tombstones = queueKey(queue, 'tombstones');
    await answerWithin(ANSWER_MS, redis.zRemRangeByScore(tombstones, '-inf', Date.now() - TOMBSTONE_TTL_MS));
  }

  /** Removes ids from `ended` once their rows are deleted. While Redis is unavailable, a sweep does so later. */
  private async forget(batch: readonly { readonly queue: string; readonly id: string }[]): Promise<void> {
    const { redis } = this.options;
    if (!redis.isReady) return;
    for (const queue of new Set(batch.map((job) => job.queue))) {
      const ids = batch.filter((job) => job.queue === queue).map((job) => job.id);
      await answerWithin(ANSWER_MS, redis.zRem(queueKey(queue, 'ended'), ids)).catch(() => undefined);
    }
  }
}
