import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { PeriodicTask } from '../../support/periodic-task';
import { dispatch } from '../queue/dispatch';
import { type QueueStatus, readQueues } from '../queue/queue-status';
import { newRecord, retriedRecord } from '../record/record';
import type { InstallationGate } from './installation';
import { claimDue, deleteRows, msUntilDue } from './table';

/** Rows per transaction and script call. */
const BATCH = 500;
/** The same while Redis is short of memory. */
const SMALL_BATCH = 50;
const POLL_MS = 1000;
/** Where several come at once, more are gathered for this long: a pass costs about the same for one row as for twenty, ms. */
const GATHER_MS = 25;
/** How often it looks whether a full queue has room again, ms. */
const REFILL_MS = 100;

export interface RelayOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** Whether rows may be copied at all. Default: always. */
  readonly gate?: Pick<InstallationGate, 'opens' | 'owns' | 'forget'>;
  readonly onError: (error: Error) => void;
  /** How many jobs may wait on a queue before the rest stays in the outbox. Default 10,000. */
  readonly mostWaiting?: number | undefined;
  /** Longest pause between two looks at the outbox, which stand in for lost notices, ms. Default 1,000. */
  readonly pollMs?: number | undefined;
}

/** Another database has taken the place of the one that was looked at. */
class ForeignRows extends Error {}

/**
 * Copies outbox rows that are due to their queues, with the row's id as the job's, as long as there is room. A crash
 * between Redis and COMMIT makes it copy a row again, which the dispatch script sees.
 */
export class Relay {
  private noticed = false;
  /** Rows copied since the gauge was looked at. */
  private unseen = 0;
  private gatherUntil = 0;
  private readonly gauge: QueueCapacity;
  private readonly task: PeriodicTask;

  constructor(private readonly options: RelayOptions) {
    const { redis, mostWaiting, pollMs = POLL_MS, onError } = options;
    this.gauge = new QueueCapacity(redis, mostWaiting);
    this.task = new PeriodicTask({ everyMs: pollMs, work: () => this.pass(), onError });
  }

  start(): void {
    this.task.start();
  }

  /** Queues whose rows stay in the outbox until there is room. */
  get fullQueues(): readonly string[] {
    return this.gauge.saturated;
  }

  /** There may be rows to copy. */
  trigger(): void {
    this.noticed = true;
    this.task.trigger();
  }

  stop(): Promise<void> {
    return this.task.stop();
  }

  /** @returns ms until the next row is due, or a full queue is looked at again. */
  private async pass(): Promise<number | undefined> {
    const { gauge } = this;
    // Its `ready` nudges.
    if (!this.options.redis.isReady) return undefined;
    const { gate } = this.options;
    if (gate && !(await gate.opens())) return undefined;
    const eased = gauge.saturated.length > 0 && (await gauge.refresh());
    if (!this.noticed && !eased) {
      const ms = await this.msUntilNext();
      if (ms === undefined || ms > 0) return ms;
    }
    const early = this.gatherUntil - performance.now();
    if (this.noticed && early > 0) await wait(early);
    this.noticed = false;
    try {
      return (await this.copyBatch()) ? 0 : this.msUntilNext();
    } catch (error) {
      if (!(error instanceof ForeignRows)) throw error;
      gate?.forget();
      return 0;
    }
  }

  private async msUntilNext(): Promise<number | undefined> {
    const { saturated: full } = this.gauge;
    const ms = await msUntilDue(this.options.knex, full);
    return full.length > 0 ? Math.min(REFILL_MS, ms ?? REFILL_MS) : ms;
  }

  /** @returns whether there is more. */
  private async copyBatch(): Promise<boolean> {
    const { gauge } = this;
    const { knex, redis, gate } = this.options;
    let looked: Promise<unknown> | undefined;
    const more = await knex.transaction(async (trx) => {
      const claim = await claimDue(trx, gauge.isLowOnMemory ? SMALL_BATCH : BATCH, gauge.saturated);
      const { rows } = claim;
      this.gatherUntil = rows.length > 1 ? performance.now() + GATHER_MS : 0;
      if (rows.length === 0) return false;
      if (gate && !gate.owns(claim.installation)) throw new ForeignRows();
      const jobs = rows.map(({ id, queue, payload, options, dueAt, diedAt }) => {
        const readyAt = Math.floor(dueAt);
        const retried = options !== null && retriedRecord({ payload, options, readyAt, durable: true });
        return { id, queue, record: retried || newRecord(payload, readyAt), diedAt };
      });
      const states = await dispatch(redis, jobs);
      this.unseen += rows.length;
      // Meanwhile Postgres commits. Should it fail, so will the next dispatch.
      if (this.unseen > BATCH / 2 || gauge.isLowOnMemory)
        looked = gauge.refresh(rows.map((row) => row.queue)).catch(() => undefined);
      const ended = rows.filter((_, index) => states[index] === 'finished').map((row) => row.id);
      if (ended.length > 0) await deleteRows(trx, ended);
      return claim.more;
    });
    if (looked) {
      await looked;
      this.unseen = 0;
    }
    return more;
  }
}

const ANSWER_MS = 5000;
/** More jobs of one queue than processors take in the time that a refill needs. */
const MOST_WAITING = 10_000;
/** Times as many may be blocked for the limits of their classes, so that a slow class does not keep others of its queue away. */
const BLOCKED_FACTOR = 10;
/** Waiting and blocked together, while Redis is short of memory. */
const FEW = 200;
/** Part of Redis's `maxmemory` that may be in use before it counts as short. */
const MEMORY_SHARE = 0.7;

/** Which queues are full: what more there is for them waits in the outbox, so that Redis's memory stays bounded. */
export class QueueCapacity {
  private readonly fullQueues = new Set<string>();
  private short = false;

  constructor(
    private readonly redis: RedisClient,
    private readonly mostWaiting: number = MOST_WAITING,
  ) {}

  get saturated(): readonly string[] {
    return [...this.fullQueues];
  }

  /** Redis is short of memory: little more should be copied at once. */
  get isLowOnMemory(): boolean {
    return this.short;
  }

  /** Looks at these queues, and at those that were full. @returns whether one of them is not full any more. */
  async refresh(queues: Iterable<string> = []): Promise<boolean> {
    const looked = [...new Set([...this.fullQueues, ...queues])];
    if (looked.length === 0) return false;
    // Some managed plans let nobody ask; then only the numbers count.
    const memory = this.redis.info('memory').catch(() => '');
    const [info, statuses] = await answerWithin(ANSWER_MS, Promise.all([memory, readQueues(this.redis, looked)]));
    this.short = isLowOnMemory(info);
    let eased = false;
    for (const status of statuses) {
      if (this.isFull(status)) this.fullQueues.add(status.name);
      else if (this.fullQueues.delete(status.name)) eased = true;
    }
    return eased;
  }

  private isFull({ waiting, blocked }: QueueStatus): boolean {
    const { mostWaiting } = this;
    if (this.short) return waiting + blocked >= Math.min(FEW, mostWaiting);
    return waiting >= mostWaiting || blocked >= mostWaiting * BLOCKED_FACTOR;
  }
}

function isLowOnMemory(info: string): boolean {
  const used = Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0);
  const most = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
  return most > 0 && used > most * MEMORY_SHARE;
}
