import type { Knex } from 'knex';
import { toError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { currentTransaction } from '../../model/transaction';
import { insertIntoOutbox } from '../outbox/outbox';
import { createPayload, type Via } from '../record/payload';
import { newRecord } from '../record/record';
import { dispatch } from './dispatch-script';
import type { EnqueuedJob, EnqueueRequest, Enqueuer } from './request';

/** How long an enqueue waits for Redis before it turns to Postgres, ms. */
const REDIS_LIMIT_MS = 1000;
/** How long after such a wait enqueues do not even try, so that not every request waits, ms. */
const AVOID_MS = 2000;
/**
 * How far Redis's clock may be behind ours. A late enqueue that Redis runs within this time of our giving up meets the
 * trace its twin from the outbox left (`recent`, kept for a minute); one that comes later is refused.
 */
const CLOCK_SLACK_MS = 30_000;
const QUEUE_NAME = /^[A-Za-z0-9_-]+$/;

/**
 * Inside a transaction, for later, or durable: to the outbox. Otherwise straight to Redis, or to the outbox when Redis
 * does not answer in time; the id is the same on both roads, so that a late success of the first makes no second run.
 */
export class JobEnqueuer implements Enqueuer {
  private avoidRedisUntil = 0;

  constructor(
    private readonly knex: Knex,
    private readonly redis: RedisClient,
    private readonly events: Events,
  ) {}

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    const enqueued: EnqueuedJob[] = [];
    for (const request of requests) enqueued.push(await this.enqueueOne(request));
    return enqueued;
  }

  private async enqueueOne(request: EnqueueRequest): Promise<EnqueuedJob> {
    const { id, queue } = request;
    if (!QUEUE_NAME.test(queue)) {
      throw new TypeError(`${request.name}: queue is ${JSON.stringify(queue)}; use letters, digits, - and _`);
    }
    const trx = request.trx ?? currentTransaction();
    if (trx || request.durable || request.runAt) await this.toOutbox(id, request, 'outbox', trx ?? this.knex);
    else await this.toRedis(id, request);
    return { id, enqueued: true };
  }

  private async toRedis(id: string, request: EnqueueRequest): Promise<void> {
    const { queue } = request;
    const now = Date.now();
    let refusal = new Error('Redis did not answer a moment ago');
    if (now >= this.avoidRedisUntil) {
      const record = newRecord(JSON.stringify(createPayload(request, 'redis')), now);
      const limits = { limitMs: REDIS_LIMIT_MS, notAfter: now + REDIS_LIMIT_MS + CLOCK_SLACK_MS };
      try {
        const [state] = await dispatch(this.redis, [{ id, queue, record }], limits);
        if (state !== 'expired') return this.enqueued(id, request, 'redis');
        refusal = new Error("Redis's clock is more than 30 s ahead of this machine's");
      } catch (thrown) {
        refusal = toError(thrown);
        // A Redis that is known to be away refuses at once, and may be back the next moment.
        if (Date.now() - now >= REDIS_LIMIT_MS) this.avoidRedisUntil = Date.now() + AVOID_MS;
      }
    }
    await this.toOutbox(id, request, 'fallback', this.knex).catch((error: unknown) => {
      const both = `neither Redis (${refusal.message}) nor Postgres (${toError(error).message}) took it`;
      throw new Error(`${request.name} could not be enqueued: ${both}`, { cause: error });
    });
  }

  private async toOutbox(id: string, request: EnqueueRequest, via: Via, knex: Knex): Promise<void> {
    const payload = JSON.stringify(createPayload(request, via));
    await insertIntoOutbox(knex, { id, queue: request.queue, class: request.name, payload, runAt: request.runAt });
    this.enqueued(id, request, 'outbox');
  }

  private enqueued(id: string, { name, queue }: EnqueueRequest, via: 'outbox' | 'redis'): void {
    this.events.emit('job.enqueued', { id, class: name, queue, via });
  }
}
