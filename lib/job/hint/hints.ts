import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { RedisTimeoutError } from '../../core/redis-script';
import { onOutcome } from '../../model/transaction';
import { chunks } from '../../support/chunks';
import { withTimeout } from '../../support/deadline';
import { isUuid } from '../../support/uuid';
import type { ReadyJob } from '../row/claim';
import { queueKey } from './keys';
import { Notifier, notify } from './notifier';

/**
 * Maximum number of ids that a queue has in Redis, which one command of each process may exceed. A small plan has 25 MB. The
 * dispatcher hints at the other jobs later.
 */
export const MAX_HINTS = 10_000;
/** Ids in one command, so that it never blocks Redis for long. */
const CHUNK = 1000;
/** Timeout of a reply, ms. A hint that comes late, or twice, does no harm. */
const ANSWER_MS = 250;
/** No hint is sent for this long after a timeout, ms: a frozen Redis would delay every one. */
const AVOID_MS = 1000;
/** The dispatcher is told of hinted jobs this long after the first of them, ms. */
const HINTED_MS = 1000;

interface HintList {
  readonly length: number;
  /** Ids of the next job and of the last; undefined when there is none of ours. */
  readonly next: string | undefined;
  readonly last: string | undefined;
}

/**
 * Says where to look: puts the ids of ready jobs on their queues in Redis. Redis has nothing else of ours. So a hint may be
 * lost, come twice, or outlive its job: the claim decides.
 */
export class Hints {
  private avoidUntil = Number.NEGATIVE_INFINITY;
  private readonly keys = new Map<string, string>();
  private readonly full = new Set<string>();

  constructor(
    private readonly redis: RedisClient,
    private readonly answerMs = ANSWER_MS,
  ) {}

  /**
   * @param at `head`: these jobs are fetched before the others. Default `tail`.
   * @returns `full`: a queue has so many hints that the dispatcher adds these later. `failed`: Redis does not answer, so some
   * hints may be missing. Never rejects.
   */
  async push(jobs: readonly ReadyJob[], at: 'head' | 'tail' = 'tail'): Promise<'pushed' | 'full' | 'failed'> {
    if (jobs.length === 0) return 'pushed';
    if (!this.redis.isReady || performance.now() < this.avoidUntil) return 'failed';
    try {
      let isFull = false;
      for (const queue of new Set(jobs.map((job) => job.queue))) {
        const ids = jobs.filter((job) => job.queue === queue).map(({ id }) => id);
        // At the head the first one comes last.
        for (const chunk of chunks(at === 'head' ? ids.reverse() : ids, () => 0, { bytes: 0, count: CHUNK }))
          isFull = !(await this.pushChunk(queue, [...chunk], at)) || isFull;
      }
      return isFull ? 'full' : 'pushed';
    } catch (error) {
      this.avoidFrozen(error);
      return 'failed';
    }
  }

  /** Reads the lists of these queues. @returns undefined when Redis does not answer. Never rejects. */
  async read(queues: readonly string[]): Promise<HintList[] | undefined> {
    if (queues.length === 0) return [];
    if (!this.redis.isReady || performance.now() < this.avoidUntil) return undefined;
    try {
      return await this.inTime(Promise.all(queues.map((queue) => this.readList(this.listKey(queue)))));
    } catch (error) {
      this.avoidFrozen(error);
      return undefined;
    }
  }

  private avoidFrozen(error: unknown): void {
    if (error instanceof RedisTimeoutError) this.avoidUntil = performance.now() + AVOID_MS;
  }

  /** @returns false when there is no room. */
  private async pushChunk(queue: string, ids: string[], at: 'head' | 'tail'): Promise<boolean> {
    const key = this.listKey(queue);
    if (at === 'tail' && this.full.has(queue) && (await this.inTime(this.redis.lLen(key))) >= MAX_HINTS) return false;
    const length = await this.inTime(at === 'head' ? this.redis.rPush(key, ids) : this.redis.lPush(key, ids));
    if (length >= MAX_HINTS) this.full.add(queue);
    else this.full.delete(queue);
    return true;
  }

  private async readList(key: string): Promise<HintList> {
    const { redis } = this;
    const [length, next, last] = await Promise.all([redis.lLen(key), redis.lIndex(key, -1), redis.lIndex(key, 0)]);
    return { length, next: ownId(next), last: ownId(last) };
  }

  private inTime<T>(answer: Promise<T>): Promise<T> {
    return withTimeout(answer, this.answerMs, () => new RedisTimeoutError(this.answerMs));
  }

  private listKey(queue: string): string {
    const key = this.keys.get(queue) ?? queueKey(queue, 'waiting');
    this.keys.set(queue, key);
    return key;
  }
}

/**
 * Announces jobs once they are committed. A job that is ready gets a hint in Redis, which wakes one processor and costs
 * Postgres nothing. Scheduled jobs are announced by a notification of Postgres, and so are all jobs while Redis takes no hints.
 *
 * NOTIFY within the transaction would save a round trip. But Postgres commits transactions that notify one at a time, each with
 * its own wait for the disk. A separate NOTIFY is sent at once or, under load, one for many jobs. If it is lost with this
 * process, its successor sends another.
 */
export class Announcer {
  private readonly notifier: Notifier;
  private hinted: NodeJS.Timeout | undefined;

  /** @param hints undefined: there is no Redis. */
  constructor(
    private readonly knex: Knex,
    private readonly hints: Hints | undefined,
  ) {
    this.notifier = new Notifier(knex);
  }

  /** Call when the process starts: its predecessor may have died between a COMMIT and the announcement. */
  started(): void {
    this.notifier.notify('look');
  }

  /**
   * @param knex the connection or transaction that inserted the jobs. A transaction's COMMIT is awaited.
   * @param ready the jobs that may run at once. @param scheduled true: there are others. @param committed called after the COMMIT.
   */
  inserted(knex: Knex, ready: readonly ReadyJob[], scheduled: boolean, committed?: () => void): void {
    const announce = (isCommitted: boolean) => {
      if (!isCommitted) return;
      this.announce(ready, scheduled);
      committed?.();
    };
    if (knex.isTransaction) onOutcome(knex as Knex.Transaction, announce);
    else announce(true);
  }

  /** Announces jobs that are ready, at the tail of their queues or at the head, and that others are scheduled. */
  announce(ready: readonly ReadyJob[], scheduled: boolean, at: 'head' | 'tail' = 'tail'): void {
    if (scheduled) this.notifier.notify('look');
    if (ready.length > 0) void this.hint(ready, at);
  }

  /** Announces that jobs with a priority may run: processors then choose jobs by it. */
  prioritised(): void {
    this.notifier.notify('prioritised');
  }

  private async hint(jobs: readonly ReadyJob[], at: 'head' | 'tail'): Promise<void> {
    const pushed = (await this.hints?.push(jobs, at)) ?? 'failed';
    if (pushed === 'failed') this.notifier.notify('unhinted');
    else this.hinted ??= setTimeout(() => this.tellOfHints(), HINTED_MS).unref();
  }

  private tellOfHints(): void {
    this.hinted = undefined;
    // The dispatcher looks from time to time anyway.
    notify(this.knex, 'hinted').catch(() => undefined);
  }
}

/** Plain producers may have put anything there. */
function ownId(element: string | null): string | undefined {
  return element !== null && isUuid(element) ? element : undefined;
}
