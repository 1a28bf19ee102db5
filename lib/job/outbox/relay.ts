import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { NoConnectionError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { answerWithin, readInfo } from '../../core/redis-script';
import { toError } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { Progress } from '../../support/progress';
import { dispatch } from '../queue/dispatch';
import { type QueueStatus, readQueues } from '../queue/queue-status';
import { newRecord, retriedRecord } from '../record/record';
import type { InstallationGate } from './installation';
import { Leadership } from './leadership';
import { claimDue, deleteRows, msUntilDue } from './table';

/** Rows per transaction and script call. */
const BATCH = 500;
/** Rows per transaction while Redis is short of memory. */
const SMALL_BATCH = 50;
/** Interval of the polls that make up for lost notifications, ms; it grows while no row comes. */
const POLL_MS = 1000;
const POLL_GROWTH = 3;
/** Pause while another relay has locked the rows that are due, ms. */
const LOCKED_MS = 50;
const MAX_POLL_MS = 900_000;
/**
 * While several rows come at once, a pass waits this long for more, ms: a pass of 20 rows costs little more than one.
 */
const GATHER_MS = 25;
/** Interval of checks for room in a full queue, ms. */
const REFILL_MS = 100;

export interface RelayOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** Decides whether rows may be dispatched. Default: always. */
  readonly gate?: Pick<InstallationGate, 'opens' | 'owns' | 'forget'>;
  readonly onError: (error: Error) => void;
  /** Jobs that may wait on a queue; the rest stays in the outbox. Default 10,000. */
  readonly mostWaiting?: number | undefined;
  /**
   * Pause between two polls of the outbox, which make up for lost notifications, ms. Default 1,000; if notifications
   * arrive it grows to 900,000 while no row comes.
   */
  readonly pollMs?: number | undefined;
  /** Unique among all relays. Default: random. */
  readonly id?: string | undefined;
  /** @returns true: notifications of Postgres arrive here. Default: they do not, so this relay waits for no other. */
  readonly hears?: () => boolean;
  /** Called after a message to all relays, this one included. @param sentAt a time before, ms, monotonic. */
  readonly onNotified?: (sentAt: number) => void;
  /** How long it waits for the relay that leads, ms. Default 700 to 1,050. */
  readonly graceMs?: number | undefined;
}

/** The rows belong to an installation that the gate has not checked, as after a restore. */
class ForeignRows extends Error {}

/**
 * Copies outbox rows that are due to their queues, under the row's id, as long as there is room. After a crash between
 * the dispatch and COMMIT a row is dispatched again, which the dispatch script recognises. Of the relays of all trees one
 * leads (leadership.ts); the others stand by.
 */
export class Relay {
  private noticed = false;
  private pollMs: number;
  /** Which relay leads. If this one does, whoever stops it tells the others. */
  readonly leadership: Leadership;
  /** Rows dispatched since the queues' capacity was last read. */
  private unseen = 0;
  private gatherUntil = 0;
  private readonly gauge: QueueCapacity;
  readonly progress = new Progress();
  /** Polls the outbox. */
  readonly task: PeriodicTask;

  constructor(private readonly options: RelayOptions) {
    const { redis, mostWaiting, pollMs = MAX_POLL_MS, onError } = options;
    const { id = randomUUID(), hears = () => false, graceMs } = options;
    this.leadership = new Leadership({ id, hears, graceMs });
    this.gauge = new QueueCapacity(redis, mostWaiting);
    this.pollMs = this.firstPollMs;
    this.task = new PeriodicTask({ everyMs: pollMs, work: () => this.pass(), onError, progress: this.progress });
  }

  start(): void {
    this.task.start();
  }

  /** Queues whose rows stay in the outbox until there is room. */
  get fullQueues(): readonly string[] {
    return this.gauge.saturated;
  }

  /** true: this relay waits for no other. */
  get leads(): boolean {
    return this.leadership.leads;
  }

  private get firstPollMs(): number {
    return this.options.pollMs ?? POLL_MS;
  }

  /** Call when there may be rows to dispatch. */
  trigger(): void {
    this.noticed = true;
    this.leadership.noticed();
    this.task.trigger();
  }

  /** Call when notifications may have been missed, so that it is not known which relay leads. */
  recover(): void {
    this.leadership.forget();
    this.trigger();
  }

  /** Call with the message of a relay to all. */
  heard(message: string): void {
    this.leadership.heard(message);
    if (!this.leadership.leads) this.task.trigger();
  }

  /** @returns ms until the next pass. */
  private async pass(): Promise<number> {
    const { gauge, leadership } = this;
    const turnMs = leadership.waitMs;
    if (turnMs === undefined || turnMs > 0) return turnMs ?? MAX_POLL_MS;
    // The `redis.ready` event triggers the next pass.
    if (!this.options.redis.isReady) {
      this.progress.failed(await this.options.redis.ping().then(() => new NoConnectionError(), toError));
      return POLL_MS;
    }
    const eased = gauge.saturated.length > 0 && (await gauge.refresh());
    if (this.noticed || eased) this.pollMs = this.firstPollMs;
    else {
      const ms = await this.msUntilNext();
      if (ms > 0) return ms;
    }
    const { gate } = this.options;
    if (gate && !(await gate.opens())) return POLL_MS;
    const early = this.gatherUntil - performance.now();
    if (this.noticed && early > 0) await wait(early);
    this.noticed = false;
    try {
      if (await this.copyBatch()) return 0;
      const ms = await this.msUntilNext();
      // A row that is due, and was not claimed, is locked by another relay's transaction.
      return ms > 0 ? ms : LOCKED_MS;
    } catch (error) {
      if (!(error instanceof ForeignRows)) throw error;
      gate?.forget();
      return 0;
    }
  }

  /**
   * Also tells the other relays.
   * @returns ms until the next row is due, until a full queue is checked again, or until the next poll: while nothing
   * happens, and notifications arrive, polls become rare.
   */
  private async msUntilNext(): Promise<number> {
    const { pollMs: mostMs = MAX_POLL_MS, knex } = this.options;
    const full = this.fullQueues;
    const pollMs = Math.min(mostMs, this.pollMs, full.length > 0 ? REFILL_MS : MAX_POLL_MS);
    this.pollMs = this.leadership.hears ? Math.min(MAX_POLL_MS, this.pollMs * POLL_GROWTH) : POLL_MS;
    // Nobody waits for a relay that does not hear of new rows.
    const told = this.leadership.hears ? { message: this.leadership.message, mostMs: pollMs } : undefined;
    const sentAt = performance.now();
    const dueMs = await msUntilDue(knex, full, told);
    if (told) this.options.onNotified?.(sentAt);
    return Math.min(pollMs, dueMs ?? pollMs);
  }

  /** @returns true when more rows may be due. */
  private async copyBatch(): Promise<boolean> {
    const { gauge } = this;
    const { knex, redis, gate } = this.options;
    let looked: Promise<unknown> | undefined;
    const more = await knex.transaction(async (trx) => {
      const lock = new LockAge();
      const claim = await claimDue(trx, gauge.isLowOnMemory ? SMALL_BATCH : BATCH, this.fullQueues);
      const { rows } = claim;
      this.gatherUntil = rows.length > 1 ? performance.now() + GATHER_MS : 0;
      if (rows.length === 0) return false;
      if (gate && !gate.owns(claim.installation)) throw new ForeignRows();
      const jobs = rows.map(({ id, queue, payload, options, dueAt, diedAt }) => {
        const readyAt = Math.floor(dueAt);
        const retried = options !== null && retriedRecord({ payload, options, readyAt, durable: true });
        return { id, queue, record: retried || newRecord(payload, readyAt), diedAt };
      });
      const states = await dispatch(redis, jobs, { before: () => lock.confirm(trx) });
      this.unseen += rows.length;
      // Postgres commits while the queues are read. A failure to read them is ignored: the next dispatch reports it.
      if (this.unseen > BATCH / 2 || gauge.isLowOnMemory)
        looked = gauge.refresh(rows.map((row) => row.queue)).catch(() => undefined);
      const ended = rows.filter((_, index) => states[index] === 'ended').map((row) => row.id);
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

/** Locks held for longer are verified; Postgres releases them 10 s after the last statement (`HELD_BRIEFLY`). */
const CERTAIN_MS = 2000;

/** Knows whether the locks of a transaction may have gone to others while this process, or its machine, was frozen. */
class LockAge {
  private seen = times();

  /** Resolves at once while they are certain, otherwise once Postgres confirms them. @throws if the session ended. */
  async confirm(trx: Knex.Transaction): Promise<void> {
    while (times().some((ms, clock) => Math.abs(ms - (this.seen[clock] ?? 0)) > CERTAIN_MS)) {
      this.seen = times();
      await trx.raw('select 1');
    }
  }
}

/** Both clocks, ms: `Date.now` advances while the machine sleeps, and nobody sets `performance.now`. */
function times(): readonly number[] {
  return [performance.now(), Date.now()];
}

const ANSWER_MS = 5000;
/** More jobs than processors fetch from one queue in the time that a refill takes. */
const MOST_WAITING = 10_000;
/** Factor for blocked jobs, so that a class at its limit does not keep the other classes out of its queue. */
const BLOCKED_FACTOR = 10;
/** Limit for waiting and blocked jobs together while Redis is short of memory. */
const FEW = 200;
/** Share of Redis's `maxmemory` above which it counts as short of memory. */
const MEMORY_SHARE = 0.7;

/** Keeps track of full queues: their further rows stay in the outbox, so that Redis's memory stays bounded. */
export class QueueCapacity {
  private readonly fullQueues = new Set<string>();
  /** true: Redis is short of memory, so rows should be dispatched in small batches. */
  isLowOnMemory = false;

  constructor(
    private readonly redis: RedisClient,
    private readonly mostWaiting: number = MOST_WAITING,
  ) {}

  get saturated(): readonly string[] {
    return [...this.fullQueues];
  }

  /** Reads these queues, and those that were full. @returns true when one of them is no longer full. */
  async refresh(queues: Iterable<string> = []): Promise<boolean> {
    const looked = [...new Set([...this.fullQueues, ...queues])];
    if (looked.length === 0) return false;
    // Some managed plans do not allow INFO; then only the numbers of jobs count.
    const memory = answerWithin(ANSWER_MS, this.redis.info('memory')).catch(() => '');
    const [statuses, info] = await Promise.all([readQueues(this.redis, looked), memory]);
    this.isLowOnMemory = isLowOnMemory(info);
    let eased = false;
    for (const status of statuses) {
      if (this.isFull(status)) this.fullQueues.add(status.name);
      else if (this.fullQueues.delete(status.name)) eased = true;
    }
    return eased;
  }

  private isFull({ waiting, blocked }: QueueStatus): boolean {
    const { mostWaiting } = this;
    if (this.isLowOnMemory) return waiting + blocked >= Math.min(FEW, mostWaiting);
    return waiting >= mostWaiting || blocked >= mostWaiting * BLOCKED_FACTOR;
  }
}

function isLowOnMemory(info: string): boolean {
  const fields = readInfo(info);
  const used = Number(fields.get('used_memory') ?? 0);
  const most = Number(fields.get('maxmemory') ?? 0);
  return most > 0 && used > most * MEMORY_SHARE;
}
