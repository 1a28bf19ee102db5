import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { PeriodicTask } from '../../support/periodic-task';
import { Progress } from '../../support/progress';
import { toError } from '../../support/to-error';
import type { Limits } from '../definition/limits';
import { byPlace } from '../hint/admitter';
import { type Hints, MAX_HINTS } from '../hint/hints';
import { pruneBatches, reportUnsealed, type UnsealedBatch } from '../row/batch';
import { settleBatches } from '../row/batch-settling';
import type { ReadyJob } from '../row/claim';
import { type DroppedJobs, pruneDead } from '../row/dead';
import { pruneFinished } from '../row/finished';
import { admit, dueKeys, heldKeys } from '../row/limited';
import { isAnyPrioritised } from '../row/priority';
import { MAX_DUE, makeDueReady, msOfCalm, msUntilScheduled, queuesReadyFor, readyJobs } from '../row/ready';
import { isAnyUnderWay, type RescuedJob, rescue } from '../row/rescue';
import { analyzeAfterBurst } from '../row/statistics';
import type { Gate } from './gate';
import { Leadership } from './leadership';

/** Interval of the looks that make up for lost notifications, ms; it grows while nothing happens. */
const LOOK_MS = 1000;
const LOOK_GROWTH = 3;
const MAX_LOOK_MS = 900_000;
/** Longest interval of these looks while Redis does not answer and jobs get no hints, ms. */
const MAX_LOOK_WITHOUT_REDIS_MS = 15_000;
/** Interval of looks while more jobs wait than may be hinted at, ms. */
const REFILL_MS = 200;
/** Below this number of hints a queue gets more. */
const FEW_HINTS = MAX_HINTS / 2;
/** A job that has been ready for this long should have been claimed, unless others wait before it, ms. */
const OVERDUE_MS = 2000;
/** A hint is followed by a notification within this time, ms. */
const NOTICE_MS = 1000;
/** Hints that are added before those of a queue in one look, as their jobs are older. */
const MAX_OLDER = 1000;
/** Keys whose held jobs are looked at in one look, and the interval of such looks while there are more or a notice came, ms. */
const MAX_KEYS = 1000;
const HELD_MS = 1000;
/** Held jobs, dead processors and bursts are looked for at most once in this time, ms. */
const UPKEEP_MS = 5000;
/** A processor that runs something and has not shown itself for this long is dead, ms. */
const SILENT_MS = 25_000;
/** After an answer that took longer than this, ms, Postgres may not have heard of the others either. */
const SLOW_MS = 5000;
/** Interval of the looks at a database that is a copy, ms. */
const CLOSED_MS = 2000;
const PRUNE_INTERVAL_MS = 3_600_000;
/** Least interval of the looks for finished jobs that are kept no longer, ms, and how many times as long as a look it is. */
const PRUNE_FINISHED_MS = 60_000;
const PRUNE_FINISHED_FACTOR = 100;
/** After this many deaths the limits of the dead set are checked before the interval is over. */
const PRUNE_AFTER = 1000;

export interface DispatcherOptions {
  readonly knex: Knex;
  readonly redis: RedisClient | undefined;
  readonly hints: Hints | undefined;
  readonly gate: Gate;
  readonly limits: Limits;
  /** Called when jobs are ready that cannot be hinted at, since Redis does not take hints. */
  readonly onUnhinted: () => void;
  /** Called at each look at which jobs with a priority may run. */
  readonly onPrioritised: () => void;
  readonly onRescued: (jobs: readonly RescuedJob[]) => void;
  readonly onDropped: (dropped: DroppedJobs) => void;
  readonly onUnsealed: (batch: UnsealedBatch) => void;
  readonly onError: (error: Error) => void;
  /** Unique among all dispatchers. */
  readonly id: string;
  /** @returns true: notifications of Postgres arrive here. */
  readonly isNotified: () => boolean;
  /** Called before what a jump of the clock or a standstill would make wrong, each of which must lead to `distrust`. */
  readonly checkClock: () => void;
  /** Called after a message to all dispatchers, this one included. @param sentAt a time before, ms, monotonic. */
  readonly onMessageSent: (sentAt: number) => void;
  readonly tuning?: DispatcherTuning | undefined;
}

export interface DispatcherTuning {
  /** Interval of the looks that make up for lost notifications, ms. Default 1,000, growing to 900,000. */
  readonly lookMs?: number;
  /** How long a dispatcher waits for the one that leads, ms. Default 700 to 1,050. */
  readonly graceMs?: number;
  /** How long a job may be ready before its hint counts as lost, ms. Default 2,000. */
  readonly overdueMs?: number;
  /** Interval of the looks for held jobs and for dead processors, ms. Default 5,000. */
  readonly upkeepMs?: number;
  /** How long a processor that runs something may be silent, and how long Postgres must have been there, ms. Default 25,000. */
  readonly silentMs?: number;
}

/**
 * Looks after the jobs that nobody was told of. These are scheduled jobs that become due, jobs whose hints were lost or had no
 * room, held jobs whose limit is free, and jobs of processors that have died. Of the dispatchers of all trees one leads; the
 * others stand by.
 */
export class Dispatcher {
  /** Knows which dispatcher leads. Whoever stops this one tells the others, if it leads. */
  readonly leadership: Leadership;
  readonly progress = new Progress();
  readonly task: PeriodicTask;
  /** Signs that there may be something to do, and those of them that a look has begun after. */
  private notices = 0;
  private answeredNotices = 0;
  /** true: a notice spoke of jobs without a hint, so the next look also counts jobs that became ready just now. */
  private mayLackHints = true;
  private lookMs: number;
  private upkeptAt = Number.NEGATIVE_INFINITY;
  private prunedAt = Number.NEGATIVE_INFINITY;
  private pruneFinishedAt = Number.NEGATIVE_INFINITY;
  private pruning: Promise<void> | undefined;
  private limitedRefilledAt = Number.NEGATIVE_INFINITY;
  private deaths = 0;
  /** true: a job was running or held at the last upkeep. */
  private wasAnyUnderWay = false;
  /** true: there may be held jobs that could run, and the key after which the next look at them begins. */
  private isHeldDue = true;
  private heldAfter = '';
  private heldAt = Number.NEGATIVE_INFINITY;
  /**
   * Time since which Postgres has answered each look, ms on the monotonic clock. undefined: the last look failed, or none was
   * made.
   */
  private connectedSince: number | undefined;

  constructor(private readonly options: DispatcherOptions) {
    const { id, isNotified, tuning, onError } = options;
    this.leadership = new Leadership({ id, isNotified, graceMs: tuning?.graceMs });
    this.lookMs = this.firstLookMs;
    this.task = new PeriodicTask({ everyMs: MAX_LOOK_MS, work: () => this.pass(), onError, progress: this.progress });
  }

  /** Idempotent. Resolves when nothing of it uses Postgres any more. */
  async stop(): Promise<void> {
    await this.task.stop();
    await this.pruning;
  }

  /** true: this dispatcher waits for no other. */
  get leads(): boolean {
    return this.leadership.leads;
  }

  /** Call when there may be something to do. @param isHinted true: only to see later whether each hint has reached a processor. */
  trigger(isHinted = false): void {
    this.notices++;
    if (isHinted) this.lookIn(this.overdueMs);
    else {
      this.mayLackHints = this.isHeldDue = true;
      this.leadership.noticed();
      this.task.trigger();
    }
  }

  /** Call when a job has begun. The notification that follows its hint may not arrive here, which the next look shows. */
  begun(): void {
    this.notices++;
    this.lookIn(NOTICE_MS + this.overdueMs);
  }

  /** Whether each hint has reached a processor shows later. */
  private lookIn(ms: number): void {
    this.leadership.noticed(ms);
    this.task.triggerIn(ms);
  }

  /** Call when Postgres may have been away, or all processes still, so that none could show itself: none is judged for a while. */
  distrust(): void {
    this.connectedSince = undefined;
    this.recover();
  }

  /** Call when notifications may have been missed, so that it is not known which dispatcher leads. */
  recover(): void {
    this.upkeptAt = Number.NEGATIVE_INFINITY;
    this.leadership.forget();
    this.trigger();
  }

  /** Call with the message of a dispatcher to all. */
  heard(message: string): void {
    this.leadership.heard(message);
    if (!this.leadership.leads) this.task.trigger();
  }

  /** Call when a job has died. */
  died(): void {
    if (++this.deaths !== PRUNE_AFTER) return;
    this.notices++;
    this.task.trigger();
  }

  private get firstLookMs(): number {
    return this.options.tuning?.lookMs ?? LOOK_MS;
  }

  private get upkeepMs(): number {
    return this.options.tuning?.upkeepMs ?? UPKEEP_MS;
  }

  private get overdueMs(): number {
    return this.options.tuning?.overdueMs ?? OVERDUE_MS;
  }

  /** @returns ms until the next pass. */
  private async pass(): Promise<number> {
    const begunAt = performance.now();
    try {
      const ms = await this.look();
      if (performance.now() - begunAt > SLOW_MS) this.connectedSince = undefined;
      return ms;
    } catch (error) {
      this.connectedSince = undefined;
      throw error;
    }
  }

  private async look(): Promise<number> {
    this.options.checkClock();
    const turnMs = this.leadership.waitMs;
    if (turnMs === undefined || turnMs > 0) return turnMs ?? MAX_LOOK_MS;
    const { knex, gate } = this.options;
    const askedAt = performance.now();
    // A notice that comes from now on counts for the next look.
    const { notices } = this;
    await gate.refresh();
    if (gate.origin === undefined) return CLOSED_MS;
    const isNoticed = notices > this.answeredNotices;
    this.answeredNotices = notices;
    if (isNoticed) this.lookMs = this.firstLookMs;
    else if (performance.now() - this.prunedAt < PRUNE_INTERVAL_MS) {
      const calmMs = await this.calmMs();
      if (calmMs !== undefined) return calmMs;
    }
    const { mayLackHints } = this;
    this.mayLackHints = false;
    try {
      const due = await makeDueReady(knex);
      if (this.connectedSince === undefined || performance.now() - askedAt > SLOW_MS)
        this.connectedSince = performance.now();
      await this.hint(due.filter(({ isReady }) => isReady));
      await this.admit([
        ...new Set([...due.flatMap(({ limitKey }) => limitKey ?? []), ...(await dueKeys(knex, MAX_KEYS))]),
      ]);
      await this.upkeep();
      if (await isAnyPrioritised(knex)) this.options.onPrioritised();
      const isShort = await this.refill(mayLackHints ? 0 : this.overdueMs);
      if (due.length > 0 && (await this.isMoreDue(due.length))) return 0;
      return await this.msUntilNext(isShort);
    } catch (error) {
      this.mayLackHints ||= mayLackHints;
      throw error;
    }
  }

  private async isMoreDue(found: number): Promise<boolean> {
    return found >= MAX_DUE && ((await msUntilScheduled(this.options.knex)) ?? 1) <= 0;
  }

  /** @returns false when Redis does not take hints: then these jobs are looked for in Postgres. */
  private async hint(jobs: readonly ReadyJob[], at?: 'head' | 'tail'): Promise<boolean> {
    if (jobs.length === 0) return true;
    const isPushed = ((await this.options.hints?.push(jobs, at)) ?? 'failed') !== 'failed';
    if (!isPushed) this.options.onUnhinted();
    return isPushed;
  }

  private async admit(keys: readonly string[]): Promise<void> {
    const { knex, limits } = this.options;
    for (const [jobs, at] of byPlace((await admit(knex, limits, keys)).jobs)) await this.hint(jobs, at);
  }

  /** Admits held jobs whose limit is free although nobody has admitted them, as when a process died that had ended a job. */
  private async admitHeld(): Promise<void> {
    this.isHeldDue = false;
    this.heldAt = performance.now();
    const keys = await heldKeys(this.options.knex, this.heldAfter, MAX_KEYS);
    await this.admit(keys);
    this.heldAfter = keys.length === MAX_KEYS ? (keys.at(-1) ?? '') : '';
    this.isHeldDue ||= this.heldAfter !== '';
  }

  /** What is wrong with one batch must not keep the look from all else. */
  private async settleBatches(): Promise<void> {
    const { ready, isLookDue, error } = await settleBatches(this.options.knex);
    this.isHeldDue ||= isLookDue;
    await this.hint(ready);
    if (error !== undefined) this.options.onError(toError(error));
  }

  private async upkeep(): Promise<void> {
    const { knex, onRescued, onDropped, tuning } = this.options;
    const { silentMs = SILENT_MS } = tuning ?? {};
    const now = performance.now();
    if (now - this.upkeptAt >= this.upkeepMs) {
      this.options.checkClock();
      // Other processors may have lost Postgres for as long as this one did. Each gets the time to show itself.
      const isJudge = now - (this.connectedSince ?? now) >= silentMs;
      const rescued = isJudge ? await rescue(knex, { silentMs }) : [];
      onRescued(rescued);
      this.wasAnyUnderWay = await isAnyUnderWay(knex);
      await this.admitHeld();
      await this.settleBatches();
      await analyzeAfterBurst(knex);
      if (now >= this.pruneFinishedAt) this.pruning = this.pruneFinished();
      this.upkeptAt = now;
    } else if (this.isHeldDue && now - this.heldAt >= HELD_MS) {
      await this.admitHeld();
      await this.settleBatches();
    }
    if (this.deaths < PRUNE_AFTER && now - this.prunedAt < PRUNE_INTERVAL_MS) return;
    this.deaths = 0;
    for (const dropped of await pruneDead(knex)) onDropped(dropped);
    for (const batch of await reportUnsealed(knex)) this.options.onUnsealed(batch);
    await pruneBatches(knex);
    this.prunedAt = now;
  }

  /** Beside the looks, since it may take seconds where a million are kept. Never rejects. */
  private async pruneFinished(): Promise<void> {
    const begunAt = performance.now();
    this.pruneFinishedAt = Number.POSITIVE_INFINITY;
    const isMore = await pruneFinished(this.options.knex, () => !this.task.stopped).catch(this.options.onError);
    const endedAt = performance.now();
    const pauseMs = isMore ? 0 : Math.max(PRUNE_FINISHED_MS, (endedAt - begunAt) * PRUNE_FINISHED_FACTOR);
    this.pruneFinishedAt = endedAt + pauseMs;
  }

  /**
   * Hints at jobs that have been ready for so long that their hints must be lost, and at those that had no room. A hint that
   * comes twice does no harm. But jobs of limits, which are older than their hints, always seem to lack them. Rates may need 50
   * looks a second: with hints at each of them, a key with many jobs would always be first.
   * @returns true when a queue has more jobs than hints.
   */
  private async refill(forMs: number): Promise<boolean> {
    const { knex, redis, hints, onUnhinted } = this.options;
    if (!redis?.isReady || !hints) return false;
    const queues = await queuesReadyFor(knex, forMs);
    const lists = await hints.read(queues);
    if (!lists) {
      onUnhinted();
      return false;
    }
    const now = performance.now();
    const isUnlimited = now - this.limitedRefilledAt < this.overdueMs;
    if (!isUnlimited) this.limitedRefilledAt = now;
    let isShort = false;
    for (const [index, queue] of queues.entries()) {
      const { length, next, last } = lists[index] ?? { length: 0, next: undefined, last: undefined };
      // Each list is in order, so jobs that are older than its next one have lost their hints.
      const limit = length === 0 ? MAX_HINTS : MAX_OLDER;
      const lost = length < MAX_HINTS ? await readyJobs(knex, queue, { before: next, forMs, isUnlimited }, limit) : [];
      if (!(await this.hint(lost, length === 0 ? 'tail' : 'head'))) return false;
      if (length >= MAX_HINTS || lost.length === MAX_HINTS) isShort = true;
      if (length === 0 || length >= FEW_HINTS) continue;
      const more = await readyJobs(knex, queue, { after: last, forMs, isUnlimited }, MAX_HINTS - length);
      if (!(await this.hint(more))) return false;
      if (more.length === MAX_HINTS - length) isShort = true;
    }
    return isShort;
  }

  /**
   * Computes the time until the next look, and tells it to the other dispatchers.
   * @returns ms until the next job is due, at most the interval of the looks. The interval grows while nothing happens and
   * notifications arrive.
   */
  private async msUntilNext(isShort: boolean): Promise<number> {
    const { knex, onMessageSent } = this.options;
    const { isNotified, message: text } = this.leadership;
    // The process of a running job may die, and this one with it: then another dispatcher waits for no longer than that.
    const maxMs = this.isHeldDue ? HELD_MS : this.wasAnyUnderWay ? this.upkeepMs : this.maxLookMs;
    const lookMs = isShort ? REFILL_MS : Math.min(maxMs, this.lookMs);
    this.lookMs = this.longerLookMs;
    const sentAt = performance.now();
    // Nobody waits for a dispatcher that is not notified itself.
    const dueMs = await msUntilScheduled(knex, isNotified ? { text, maxMs: lookMs } : undefined);
    if (isNotified) onMessageSent(sentAt);
    return Math.min(lookMs, dueMs ?? lookMs);
  }

  /** Does the same in one statement, since most looks find nothing. @returns undefined when there is something to do. */
  private async calmMs(): Promise<number | undefined> {
    const { knex, onMessageSent } = this.options;
    const { isNotified, message } = this.leadership;
    const sentAt = performance.now();
    const ms = await msOfCalm(knex, Math.min(this.maxLookMs, this.lookMs), isNotified ? message : undefined);
    if (ms === undefined) return undefined;
    this.lookMs = this.longerLookMs;
    if (isNotified) onMessageSent(sentAt);
    return ms;
  }

  private get maxLookMs(): number {
    return this.options.redis?.isReady ? MAX_LOOK_MS : MAX_LOOK_WITHOUT_REDIS_MS;
  }

  /** The interval after the next look. */
  private get longerLookMs(): number {
    return this.leadership.isNotified ? Math.min(this.maxLookMs, this.lookMs * LOOK_GROWTH) : this.firstLookMs;
  }
}
