import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { queueNames } from '../queue/queue-names';
import { StrayJobs } from '../queue/stray-jobs';
import { Recurring } from '../recurring';
import { whatRedisKnows } from './known-script';
import { type Cursor, deleteRows, dispatchedAfter, undispatch } from './outbox';
import { currentLife, markCompared } from './redis-life';

/** How often Redis is asked whether it has lost its data, ms. */
const EVERY_MS = 2000;
/** How often a stretch is compared although it has not, ms. */
const ROUTINE_MS = 10_000;
/** Rows per look-up. */
const PAGE = 1000;
/** Pages of a routine walk; the next one goes on from there. */
const ROUTINE_PAGES = 5;
/** A new life is compared whole twice, since a relay may have been between Redis and COMMIT the first time. */
const WHOLE_WALKS = 2;

export interface ReconcilerTuning {
  /** How often Redis is asked whether it has lost its data, ms. Default 2,000. */
  readonly compareMs?: number;
  /** How often a stretch is compared although it has not, ms. Default 10,000. */
  readonly routineMs?: number;
  /** Rows per look-up. Default 1,000. */
  readonly page?: number;
}

export interface ReconcilerOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** Whether this process is running the job: Redis need not know that. */
  readonly isRunning: (id: string) => boolean;
  /** Whether rows may be dispatched at all. */
  readonly mayDispatch: () => Promise<boolean>;
  /** Redis may have lost its data: called before rows are offered to the relay again. */
  readonly onNewLife: () => Promise<void>;
  /** Redis has lost all that it had. */
  readonly onEmptied: () => void;
  /** Rows were offered to the relay again. */
  readonly onLost: (count: number) => void;
  /** Jobs that were on no list are on one again. */
  readonly onRestored: (queue: string, count: number) => void;
  /** Served here. */
  readonly queues: readonly string[];
  readonly onError: (error: Error) => void;
  readonly tuning?: ReconcilerTuning | undefined;
}

/**
 * Finds dispatched rows that Redis no longer knows, and gives them back to the relay: the whole outbox when Redis has
 * lost its data or may have, else a stretch at a time, for what went missing in ways nobody thought of. What Redis knows
 * by its record alone, but has on no list, is put back there.
 */
export class Reconciler {
  private cursor: Cursor | undefined;
  /** Walks over the whole outbox in one life of Redis. */
  private wholeWalks = { life: '', count: 0 };
  /** This process has seen a life that was compared: a Redis that knows of none after that has been emptied. */
  private hasSeenCompared = false;
  private readonly strays: StrayJobs;
  private routineAt = performance.now();
  private readonly routineMs: number;
  private readonly page: number;
  private readonly chore: Recurring;

  constructor(private readonly options: ReconcilerOptions) {
    const { tuning, onError, redis, isRunning, onRestored } = options;
    this.strays = new StrayJobs({ redis, isRunning, onRestored });
    this.routineMs = tuning?.routineMs ?? ROUTINE_MS;
    this.page = tuning?.page ?? PAGE;
    this.chore = new Recurring({ everyMs: tuning?.compareMs ?? EVERY_MS, work: () => this.pass(), onError });
  }

  start(): void {
    this.chore.start();
  }

  /** Redis is back, perhaps without its data. */
  nudge(): void {
    this.chore.nudge();
  }

  stop(): Promise<void> {
    return this.chore.stop();
  }

  private async pass(): Promise<number | undefined> {
    const { redis } = this.options;
    if (!redis.isReady || !(await this.options.mayDispatch())) return undefined;
    const life = await currentLife(redis);
    if (life.compared) {
      this.hasSeenCompared = true;
      if (performance.now() - this.routineAt >= this.routineMs) {
        this.routineAt = performance.now();
        await this.walk(ROUTINE_PAGES);
        await this.lookForStrays();
      }
      return undefined;
    }
    if (life.first && this.hasSeenCompared) this.options.onEmptied();
    this.hasSeenCompared = false;
    this.cursor = undefined;
    await this.options.onNewLife();
    await this.walk(Number.POSITIVE_INFINITY);
    await this.lookForStrays();
    const ofLife = `${life.runId} ${life.id}`;
    const before = this.wholeWalks.life === ofLife ? this.wholeWalks.count : 0;
    this.wholeWalks = { life: ofLife, count: before + 1 };
    if (this.wholeWalks.count >= WHOLE_WALKS) this.hasSeenCompared = await markCompared(redis, life);
    return undefined;
  }

  private async lookForStrays(): Promise<void> {
    const { redis, queues } = this.options;
    await this.strays.look([...new Set([...queues, ...(await queueNames(redis))])]);
  }

  private async walk(pages: number): Promise<void> {
    for (let page = 0; page < pages; page++) {
      const rows = await dispatchedAfter(this.options.knex, this.cursor, this.page);
      const last = rows.at(-1);
      if (last) await this.compare(rows);
      this.cursor = last && rows.length === this.page ? { dispatchedAt: last.dispatched_at, id: last.id } : undefined;
      if (!this.cursor) return;
    }
  }

  private async compare(rows: readonly { readonly id: string; readonly queue: string }[]): Promise<void> {
    const { knex, redis, isRunning, onLost } = this.options;
    const known = await whatRedisKnows(redis, rows);
    const inState = (state: string) => rows.filter((_, index) => known[index] === state).map((row) => row.id);
    const ended = inState('ended');
    if (ended.length > 0) await deleteRows(knex, ended);
    const unknown = inState('unknown').filter((id) => !isRunning(id));
    const lost = unknown.length > 0 ? await undispatch(knex, unknown) : 0;
    if (lost > 0) onLost(lost);
  }
}
