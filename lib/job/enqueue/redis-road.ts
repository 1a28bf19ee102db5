import { toError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { createPayload } from '../record/payload';
import { newRecord } from '../record/record';
import { RedisTimeoutError } from '../redis/redis-script';
import { type DispatchedJob, dispatchChunk, dispatchChunks } from './dispatch-script';
import type { EnqueueRequest } from './request';

const REDIS_LIMIT_MS = 1000;
const AVOID_MS = 2000;
/**
 * How far Redis's clock may be behind ours. A late enqueue that Redis runs within this time of our giving up meets the
 * trace its twin from the outbox left (`recent`, kept for a minute); one that comes later is refused.
 */
const CLOCK_SLACK_MS = 30_000;

/** How far Redis has those that were handed over, for sure; and why not the rest. */
export interface Sent {
  /** From the first. */
  readonly sent: number;
  readonly refusal?: Error | undefined;
}

export interface RedisRoadTuning {
  /** How long an enqueue waits for Redis before it turns to Postgres, ms. Default 1,000. */
  readonly limitMs?: number;
  /** How long after such a wait enqueues do not even try, so that not every request waits, ms. Default 2,000. */
  readonly avoidMs?: number;
}

interface Load {
  readonly jobs: readonly DispatchedJob[];
  readonly resolve: (sent: Sent) => void;
}

/** The way straight to Redis. What is enqueued at one time, by whomever, travels in one call. */
export class RedisRoad {
  /** On the monotonic clock, as the wait: one that is set back meanwhile must not keep us off for hours. */
  private avoidUntil = 0;
  private loads: Load[] = [];

  private readonly limitMs: number;
  private readonly avoidMs: number;

  constructor(
    private readonly redis: RedisClient,
    { limitMs = REDIS_LIMIT_MS, avoidMs = AVOID_MS }: RedisRoadTuning = {},
  ) {
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
      // Those that were begun in one turn all come here before the next microtask does.
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
    const { limitMs } = this;
    try {
      const notAfter = Date.now() + limitMs + CLOCK_SLACK_MS;
      const states = await dispatchChunk(this.redis, chunk, { limitMs, notAfter });
      return states.includes('expired')
        ? new Error("Redis's clock is more than 30 s ahead of this machine's")
        : undefined;
    } catch (thrown) {
      // A Redis that is known to be away refuses at once, and may be back the next moment.
      if (thrown instanceof RedisTimeoutError) this.avoidUntil = performance.now() + this.avoidMs;
      return toError(thrown);
    }
  }
}
