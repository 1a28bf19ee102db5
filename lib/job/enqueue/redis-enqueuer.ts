import type { RedisClient } from '../../core/redis';
import { RedisTimeoutError } from '../../core/redis-script';
import { toError } from '../../support/async';
import type { EnqueueRequest } from '../definition/job-class';
import { type DispatchedJob, dispatchChunk, dispatchChunks } from '../queue/dispatch';
import { createPayload, newRecord } from '../record/record';

const REDIS_LIMIT_MS = 1000;
const AVOID_MS = 2000;
/**
 * Maximum lag of Redis's clock behind ours, ms. A late enqueue that Redis runs within this time of our timeout meets
 * the marker that its twin from the outbox left (`tombstones`, kept for a minute); a later one is rejected.
 */
const CLOCK_SLACK_MS = 30_000;

/** The result of a send: the jobs that are certainly in Redis, and the reason why the rest is not. */
export interface Sent {
  /** Number of jobs, from the first. */
  readonly sent: number;
  readonly refusal?: Error | undefined;
}

export interface RedisEnqueuerOptions {
  /** Time that an enqueue waits for Redis before it turns to Postgres, ms. Default 1,000. */
  readonly limitMs?: number;
  /** Time after such a timeout during which Redis is not tried, so that not every request waits, ms. Default 2,000. */
  readonly avoidMs?: number;
  /** Called with the ids of jobs that Redis took after their enqueue had turned to Postgres. */
  readonly onLate?: (ids: readonly string[]) => void;
}

interface PendingSend {
  readonly jobs: readonly DispatchedJob[];
  readonly resolve: (sent: Sent) => void;
}

/** Enqueues straight to Redis. Jobs that are enqueued at the same time, by any callers, go in one call. */
export class RedisEnqueuer {
  /** On the monotonic clock: a wall clock that is set back would block Redis for hours. */
  private avoidUntil = 0;
  private pending: PendingSend[] = [];

  private readonly limitMs: number;
  private readonly avoidMs: number;
  private readonly onLate: (ids: readonly string[]) => void;

  constructor(
    private readonly redis: RedisClient,
    { limitMs = REDIS_LIMIT_MS, avoidMs = AVOID_MS, onLate = () => undefined }: RedisEnqueuerOptions = {},
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
      if (this.pending.length === 0) queueMicrotask(() => void this.sendPending());
      this.pending.push({ jobs, resolve });
    });
  }

  private async sendPending(): Promise<void> {
    const pending = this.pending;
    this.pending = [];
    const { sent, refusal } = await this.sendAll(pending.flatMap(({ jobs }) => jobs));
    let before = 0;
    for (const { jobs, resolve } of pending) {
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
