import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { currentTransaction } from '../../model/transaction';
import { lazy, toError } from '../../support/async';
import type { EnqueuedJob, EnqueueRequest } from '../definition/job-class';
import { checkQueue } from '../definition/options';
import { deleteUndispatched, insertIntoOutbox, OutboxNotifier } from '../outbox/insert';
import { createPayload, type Via } from '../record/record';
import { allEnqueued, type Enqueuer } from './enqueue';
import type { RedisEnqueuer, Sent } from './redis-enqueuer';

/**
 * Jobs in a transaction, for later, durable or unique go to the outbox. Others go straight to Redis, or to the outbox
 * when Redis does not answer in time; the id is the same on both routes, so that a late success in Redis makes no
 * second run. Jobs for Postgres go first: a failure there leaves nothing enqueued.
 */
export class JobEnqueuer implements Enqueuer {
  /** Loaded at the first job that goes straight to Redis: an app that enqueues in transactions only has none. */
  private readonly redisEnqueuer: () => Promise<RedisEnqueuer>;
  private readonly notifier: OutboxNotifier;
  /** Classes that were reported as late, once each. */
  private readonly lateClasses = new Set<string>();
  /** Queues that were reported as missing from JOB_QUEUES, once each. */
  private readonly unserved = new Set<string>();
  /** Inserts that are in progress because Redis did not answer. */
  private readonly fallbacks = new Set<Promise<void>>();

  constructor(
    private readonly knex: Knex,
    redis: RedisClient,
    private readonly events: Events,
    /** The queues of JOB_QUEUES. Default: not known, so that none is reported. */
    private readonly served?: readonly string[],
  ) {
    this.notifier = new OutboxNotifier(knex, redis);
    this.redisEnqueuer = lazy(async () => {
      const { RedisEnqueuer } = await import('./redis-enqueuer');
      return new RedisEnqueuer(redis, { onLate: (ids) => void this.leaveToRedis(ids) });
    });
  }

  /** Call when the process starts. */
  started(): void {
    this.notifier.started();
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    for (const request of requests) {
      checkQueue(request);
      if (this.served?.includes(request.queue) === false) this.reportUnserved(request, this.served);
    }
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

  /** The start warns of the queues of classes; `set({ queue })` may name any other. */
  private reportUnserved({ name, queue }: EnqueueRequest, served: readonly string[]): void {
    if (this.unserved.has(queue)) return;
    this.unserved.add(queue);
    const wrong = `${name} was enqueued on ${queue}, which JOB_QUEUES (${served.join(', ')}) lacks`;
    this.events.emit('process.warning', { message: `${wrong}: add it there, unless another tree serves it` });
  }

  private async toRedis(requests: readonly EnqueueRequest[], jobs: Map<EnqueueRequest, EnqueuedJob>): Promise<void> {
    const { sent, refusal } = await this.send(requests);
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

  /** Never rejects: if the module cannot be loaded, perhaps for want of file descriptors, nothing was sent. */
  private async send(requests: readonly EnqueueRequest[]): Promise<Sent> {
    try {
      return await (await this.redisEnqueuer()).send(requests);
    } catch (thrown) {
      return { sent: 0, refusal: toError(thrown) };
    }
  }

  /**
   * Deletes the rows of jobs that Redis took after the timeout. A row that is dispatched by now has met its twin in
   * Redis; one that waits for long because its queue is full would arrive after the end of its twin is forgotten.
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
