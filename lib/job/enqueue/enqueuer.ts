import type { Knex } from 'knex';
import { toError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { currentTransaction } from '../../model/transaction';
import { insertIntoOutbox } from '../outbox/insert';
import { OutboxNotifier } from '../outbox/notifier';
import { createPayload, type Via } from '../record/payload';
import { allEnqueued } from './enqueue-error';
import { checkQueue } from './queue-check';
import { RedisRoad } from './redis-road';
import type { EnqueuedJob, EnqueueRequest, Enqueuer } from './request';

/**
 * Inside a transaction, for later, durable, or unique: to the outbox. Otherwise straight to Redis, or to the outbox when
 * Redis does not answer in time; the id is the same on both roads, so that a late success of the first makes no second
 * run. Of several jobs those for Postgres go first: a failure there leaves nothing enqueued.
 */
export class JobEnqueuer implements Enqueuer {
  private readonly road: RedisRoad;
  private readonly notifier: OutboxNotifier;
  /** Classes that the log was told of. */
  private readonly lateClasses = new Set<string>();

  constructor(
    private readonly knex: Knex,
    redis: RedisClient,
    private readonly events: Events,
  ) {
    this.road = new RedisRoad(redis);
    this.notifier = new OutboxNotifier(knex);
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
    const { sent, refusal } = await this.road.send(requests);
    for (const request of requests.slice(0, sent)) jobs.set(request, this.enqueued(request, 'redis'));
    if (!refusal) return;
    const rest = requests.slice(sent);
    await this.toOutbox(rest, 'fallback', this.knex, jobs).catch((error: unknown) => {
      const both = `neither Redis (${refusal.message}) nor Postgres (${toError(error).message}) took it`;
      throw new Error(`${rest[0]?.name} could not be enqueued: ${both}`, { cause: error });
    });
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
