import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { RedisTimeoutError } from '../../core/redis-script';
import { currentTransaction } from '../../model/transaction';
import { toError } from '../../support/async';
import type { EnqueuedJob, EnqueueRequest } from '../definition/job-class';
import { checkQueue } from '../definition/options';
import { insertIntoOutbox, OutboxNotifier } from '../outbox/insert';
import { deleteUndispatched } from '../outbox/table';
import { type DispatchedJob, dispatchChunk, dispatchChunks } from '../queue/dispatch';
import { createPayload, newRecord, type Via } from '../record/record';
import { allEnqueued, type Enqueuer } from './enqueue';

/**
 * Jobs in a transaction, for later, durable or unique go to the outbox. Others go straight to Redis, or to the outbox
 * when Redis does not answer in time; the id is the same on both routes, so that a late success in Redis makes no
 * second run. Jobs for Postgres go first: a failure there leaves nothing enqueued.
 */
export class JobEnqueuer implements Enqueuer {
  private readonly redis: RedisEnqueuer;
  private readonly notifier: OutboxNotifier;
  /** Classes that were reported as late, once each. */
  private readonly lateClasses = new Set<string>();
  /** Inserts that are in progress because Redis did not answer. */
  private readonly fallbacks = new Set<Promise<void>>();

  constructor(
    private readonly knex: Knex,
    redis: RedisClient,
    private readonly events: Events,
  ) {
    this.redis = new RedisEnqueuer(redis, { onLate: (ids) => void this.leaveToRedis(ids) });
    this.notifier = new OutboxNotifier(knex);
  }

  /** Call when the process starts. */
  started(): void {
    this.notifier.started();
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    for (const request of requests) checkQueue(request);
    const straight: EnqueueRequest[] = [];
    const byConnection = new Map<Knex, EnqueueRequest[]>();
    for (const request of requests) {
      const trx = request.trx ?? currentTransaction();
      if (trx || request.durable || request.runAt || request.unique) addTo(byConnection, trx ?? this.knex, request);
      else straight.push(request);
    }
    const jobs = new Map<EnqueueRequest, EnqueuedJob>();
    let failure: Error | undefined;
    try {
      for (const [knex, given] of byConnection) await this.toOutbox(given, 'outbox', knex, jobs);
      if (straight.length > 0) await this.toRedis(straight, jobs);
    } catch (thrown) {
      failure = toError(thrown);
    }
    return allEnqueued(requests.map((request) => jobs.get(request) ?? failure ?? new Error('not enqueued')));
  }

  cancelled({ id, name, queue }: EnqueueRequest): void {
    this.events.emit('job.cancelled', { id, class: name, queue });
  }

  late({ name }: EnqueueRequest): void {
    if (this.lateClasses.has(name)) return;
    this.lateClasses.add(name);
    this.events.emit('job.left-transaction', { class: name });
  }

  private async toRedis(requests: readonly EnqueueRequest[], jobs: Map<EnqueueRequest, EnqueuedJob>): Promise<void> {
    const { sent, refusal } = await this.redis.send(requests);
    for (const request of requests.slice(0, sent)) jobs.set(request, this.enqueued(request, 'redis'));
    if (!refusal) return;
    const rest = requests.slice(sent);
    const fallback = this.toOutbox(rest, 'fallback', this.knex, jobs);
    this.fallbacks.add(fallback);
    try {
      await fallback;
    } catch (error) {
      const both = `neither Redis (${refusal.message}) nor Postgres (${toError(error).message}) took it`;
      throw new Error(`${rest[0]?.name} could not be enqueued: ${both}`, { cause: error });
    } finally {
      this.fallbacks.delete(fallback);
    }
  }

  /**
   * Deletes the rows of jobs that Redis took after the timeout. A row that is dispatched by now has met its twin in
   * Redis; one that waits for long because its queue is full would arrive when the end of its twin is forgotten.
   */
  private async leaveToRedis(ids: readonly string[]): Promise<void> {
    await Promise.allSettled([...this.fallbacks]);
    // If Postgres fails now, the rows stay: they are usually dispatched within moments, and meet their twins.
    await deleteUndispatched(this.knex, ids).catch(() => undefined);
  }

  private async toOutbox(
    requests: readonly EnqueueRequest[],
    via: Via,
    knex: Knex,
    jobs: Map<EnqueueRequest, EnqueuedJob>,
  ): Promise<void> {
    const rows = requests.map((request) => {
      const { id, name, queue, runAt, unique } = request;
      return { id, queue, class: name, payload: JSON.stringify(createPayload(request, via)), runAt, unique };
    });
    const ids = await insertIntoOutbox(knex, rows);
    this.notifier.inserted(knex);
    requests.forEach((request, i) => {
      const id = ids[i] ?? request.id;
      jobs.set(request, id === request.id ? this.enqueued(request, 'outbox') : this.duplicate(request, id));
    });
  }

  private enqueued({ id, name, queue }: EnqueueRequest, via: 'outbox' | 'redis'): EnqueuedJob {
    this.events.emit('job.enqueued', { id, class: name, queue, via });
    return { id, enqueued: true };
  }

  private duplicate({ name, queue }: EnqueueRequest, id: string): EnqueuedJob {
    this.events.emit('job.duplicate', { id, class: name, queue });
    return { id, enqueued: false, reason: 'duplicate' };
  }
}

function addTo(groups: Map<Knex, EnqueueRequest[]>, key: Knex, request: EnqueueRequest): void {
  const group = groups.get(key);
  if (group) group.push(request);
  else groups.set(key, [request]);
}

const REDIS_LIMIT_MS = 1000;
const AVOID_MS = 2000;
/**
 * Maximum lag of Redis's clock behind ours, ms. A late enqueue that Redis runs within this time of our timeout meets
 * the marker that its twin from the outbox left (`recent`, kept for a minute); a later one is rejected.
 */
const CLOCK_SLACK_MS = 30_000;

/** The result of a send: the jobs that are certainly in Redis, and the reason why the rest is not. */
export interface Sent {
  /** Number of jobs, from the first. */
  readonly sent: number;
  readonly refusal?: Error | undefined;
}

export interface RedisRoadTuning {
  /** Time that an enqueue waits for Redis before it turns to Postgres, ms. Default 1,000. */
  readonly limitMs?: number;
  /** Time after such a timeout during which Redis is not tried, so that not every request waits, ms. Default 2,000. */
  readonly avoidMs?: number;
  /** Called with the ids of jobs that Redis took after their enqueue had turned to Postgres. */
  readonly onLate?: (ids: readonly string[]) => void;
}

interface Load {
  readonly jobs: readonly DispatchedJob[];
  readonly resolve: (sent: Sent) => void;
}

/** Enqueues straight to Redis. Jobs that are enqueued at the same time, by any callers, go in one call. */
export class RedisEnqueuer {
  /** On the monotonic clock: a wall clock that is set back would block Redis for hours. */
  private avoidUntil = 0;
  private loads: Load[] = [];

  private readonly limitMs: number;
  private readonly avoidMs: number;
  private readonly onLate: (ids: readonly string[]) => void;

  constructor(
    private readonly redis: RedisClient,
    { limitMs = REDIS_LIMIT_MS, avoidMs = AVOID_MS, onLate = () => undefined }: RedisRoadTuning = {},
  ) {
    this.onLate = onLate;
    this.limitMs = limitMs;
    this.avoidMs = avoidMs;
  }

  /** Never rejects. */
  send(requests: readonly EnqueueRequest[]): Promise<Sent> {
    if (performance.now() < this.avoidUntil)
      return Promise.resolve({ sent: 0, refusal: new Error('Redis did not answer a moment ago') });
    const now = Date.now();
    const jobs = requests.map((request) => ({
      id: request.id,
      queue: request.queue,
      record: newRecord(JSON.stringify(createPayload(request, 'redis')), now),
    }));
    return new Promise((resolve) => {
      // All jobs that are enqueued in one turn arrive before the microtask runs.
      if (this.loads.length === 0) queueMicrotask(() => void this.sendLoads());
      this.loads.push({ jobs, resolve });
    });
  }

  private async sendLoads(): Promise<void> {
    const loads = this.loads;
    this.loads = [];
    const { sent, refusal } = await this.sendAll(loads.flatMap(({ jobs }) => jobs));
    let before = 0;
    for (const { jobs, resolve } of loads) {
      const ofThese = Math.max(0, Math.min(jobs.length, sent - before));
      before += jobs.length;
      resolve(ofThese === jobs.length ? { sent: ofThese } : { sent: ofThese, refusal });
    }
  }

  private async sendAll(jobs: readonly DispatchedJob[]): Promise<Sent> {
    let sent = 0;
    for (const chunk of dispatchChunks(jobs)) {
      const refusal = await this.sendChunk(chunk);
      if (refusal) return { sent, refusal };
      sent += chunk.length;
    }
    return { sent };
  }

  private async sendChunk(chunk: readonly DispatchedJob[]): Promise<Error | undefined> {
    const { limitMs, onLate } = this;
    try {
      const notAfter = Date.now() + limitMs + CLOCK_SLACK_MS;
      const states = await dispatchChunk(this.redis, chunk, { limitMs, notAfter, onLate });
      return states.includes('expired')
        ? new Error("Redis's clock is more than 30 s ahead of this machine's")
        : undefined;
    } catch (thrown) {
      // Only a timeout blocks Redis: one that is disconnected rejects at once, and may be back the next moment.
      if (thrown instanceof RedisTimeoutError) this.avoidUntil = performance.now() + this.avoidMs;
      return toError(thrown);
    }
  }
}
