import { maxSlowest, NONE_SLOW, type RequestCounts, type Slowest, sumTotals } from '../../core/request-counts';
import { countsSince } from '../../support/histogram';
import type { Rollup, RollupCounters, Work } from '../status';

export const ROLLUP_INTERVAL_MS = 10_000;
/** Maximum number of rollups kept until they are stored in Redis; the oldest ones are merged. */
const MAX_PARTS = 60;

export interface RollupSource {
  /** Counters since the tree began. */
  readonly requests: () => RequestCounts;
  readonly memory: () => Readonly<Record<string, number>>;
  /** true: each read ends the current rollup, so that what ends during the stop is counted and stored, too. */
  readonly isStopping: () => boolean;
}

/** Sums up the children's reports in intervals of ten seconds, and keeps the rollups until they are stored. */
export class Rollups {
  private parts: Rollup[] = [];
  private count = 0;
  private before: RequestCounts;
  private work = { processed: 0, failed: 0 };
  private slowest = NONE_SLOW;
  /** Start of the current rollup, ms since 1970. */
  private startedAt = floorTo(Date.now());

  constructor(private readonly source: RollupSource) {
    this.before = source.requests();
  }

  addWork({ processed, failed }: Work): void {
    this.work.processed += processed;
    this.work.failed += failed;
  }

  addSlowest(slowest: Slowest): void {
    this.slowest = maxSlowest(this.slowest, slowest);
  }

  /** The rollups after that number; those up to it have been stored, and are dropped. */
  after(number: number): readonly Rollup[] {
    if (this.source.isStopping()) this.closeRollup();
    this.parts = this.parts.filter((part) => part.number > number);
    return this.parts;
  }

  /** Ends the current rollup if its time is over. @returns ms until that of the next one. */
  closeIfOver(): number {
    const now = Date.now();
    const began = this.startedAt;
    this.startedAt = floorTo(now);
    if (this.startedAt !== began) this.closeRollup(began);
    return this.startedAt + ROLLUP_INTERVAL_MS - now;
  }

  /** Ends the current rollup, at its time or early, when the tree stops. @param at its start, ms since 1970. */
  closeRollup(at = floorTo(Date.now())): void {
    const { before, work } = this;
    const now = this.source.requests();
    const [upToNow, upToThen] = [sumTotals(now), sumTotals(before)];
    const sums = {
      requests: upToNow.requests - upToThen.requests,
      serverErrors: upToNow.serverErrors - upToThen.serverErrors,
      shed: upToNow.shed - upToThen.shed,
      processed: work.processed,
      failed: work.failed,
    };
    const duration = countsSince(now.duration.counts, before.duration.counts);
    const queued = countsSince(now.queued.counts, before.queued.counts);
    const { slowest } = this;
    this.parts.push({ number: ++this.count, at, sums, duration, queued, slowest, memory: this.source.memory() });
    this.before = now;
    this.slowest = NONE_SLOW;
    this.work = { processed: 0, failed: 0 };
    if (this.parts.length > MAX_PARTS) this.foldOldest();
  }

  private foldOldest(): void {
    const [first, second] = this.parts;
    if (!first || !second) return;
    const sums = { ...second.sums };
    for (const name of Object.keys(sums) as (keyof RollupCounters)[]) sums[name] += first.sums[name];
    const add = (name: 'duration' | 'queued') => second[name].map((count, i) => count + (first[name][i] ?? 0));
    const slowest = maxSlowest(first.slowest, second.slowest);
    this.parts.splice(0, 2, { ...second, sums, duration: add('duration'), queued: add('queued'), slowest });
  }
}

function floorTo(at: number): number {
  return Math.floor(at / ROLLUP_INTERVAL_MS) * ROLLUP_INTERVAL_MS;
}
