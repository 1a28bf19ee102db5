import { NONE_SLOW, type RequestCounts, type Slowest, slowerOf } from '../core/request-counts';

/** What a job processor has done since it last told. */
export interface Work {
  /** Runs that succeeded, and runs that failed. */
  readonly processed: number;
  readonly failed: number;
}

/** How long one part of the figures is, ms. */
export const PART_MS = 10_000;
/** Parts that are kept until they are in Redis; of those before them the sums are kept. */
const MOST_PARTS = 60;

/** What is summed up over a stretch of time. */
export interface FigureSums {
  requests: number;
  /** Answers of 500 and above. */
  serverErrors: number;
  /** Turned away with 503 before the app saw them. */
  turnedAway: number;
  processed: number;
  failed: number;
}

/** The tree's figures of ten seconds. */
export interface FigurePart {
  /** Counts from 1, in this primary. */
  readonly number: number;
  /** When it begins, ms since 1970; a multiple of PART_MS. */
  readonly at: number;
  readonly sums: FigureSums;
  /** How long answers took and requests waited for a slot, by the buckets of `RequestCounts`. */
  readonly duration: readonly number[];
  readonly queued: readonly number[];
  /** Of all these requests. */
  readonly slowest: Slowest;
  /** MB by process: `primary`, `worker 0`, `jobs`. */
  readonly memory: Readonly<Record<string, number>>;
}

export interface FigureSource {
  /** Since the tree began. */
  readonly requests: () => RequestCounts;
  readonly memory: () => Readonly<Record<string, number>>;
}

/** Sums up what the children tell, in parts of ten seconds, until somebody has written them down. */
export class Figures {
  private parts: FigurePart[] = [];
  private count = 0;
  private before: RequestCounts;
  private work = { processed: 0, failed: 0 };
  private slowest = NONE_SLOW;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly source: FigureSource) {
    this.before = source.requests();
  }

  start(): void {
    this.timer ??= setTimeout(() => this.tick(), PART_MS - (Date.now() % PART_MS));
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  addWork({ processed, failed }: Work): void {
    this.work.processed += processed;
    this.work.failed += failed;
  }

  addSlowest(slowest: Slowest): void {
    this.slowest = slowerOf(this.slowest, slowest);
  }

  /** The parts after that number; those up to it are not needed any more. */
  after(number: number): readonly FigurePart[] {
    this.parts = this.parts.filter((part) => part.number > number);
    return this.parts;
  }

  /** Ends the part at hand before its time: nothing more is to come. */
  cut(at = floorTo(Date.now())): void {
    const { before, work } = this;
    const now = this.source.requests();
    const [upToNow, upToThen] = [sumsOf(now), sumsOf(before)];
    const sums = {
      requests: upToNow.requests - upToThen.requests,
      serverErrors: upToNow.serverErrors - upToThen.serverErrors,
      turnedAway: upToNow.turnedAway - upToThen.turnedAway,
      processed: work.processed,
      failed: work.failed,
    };
    const duration = since(now.duration.counts, before.duration.counts);
    const queued = since(now.queued.counts, before.queued.counts);
    const { slowest } = this;
    this.parts.push({ number: ++this.count, at, sums, duration, queued, slowest, memory: this.source.memory() });
    this.before = now;
    this.slowest = NONE_SLOW;
    this.work = { processed: 0, failed: 0 };
    if (this.parts.length > MOST_PARTS) this.foldOldest();
  }

  private tick(): void {
    // The timer may be early by a millisecond.
    this.cut(floorTo(Date.now() - PART_MS / 2));
    this.timer = undefined;
    this.start();
  }

  private foldOldest(): void {
    const [first, second] = this.parts;
    if (!first || !second) return;
    const sums = { ...second.sums };
    for (const name of Object.keys(sums) as (keyof FigureSums)[]) sums[name] += first.sums[name];
    const add = (name: 'duration' | 'queued') => second[name].map((count, i) => count + (first[name][i] ?? 0));
    const slowest = slowerOf(first.slowest, second.slowest);
    this.parts.splice(0, 2, { ...second, sums, duration: add('duration'), queued: add('queued'), slowest });
  }
}

function floorTo(at: number): number {
  return Math.floor(at / PART_MS) * PART_MS;
}

/** What the graphs and the rates tell of requests. */
export function sumsOf({
  answered,
  refused,
}: RequestCounts): Pick<FigureSums, 'requests' | 'serverErrors' | 'turnedAway'> {
  const total = (fits: (key: string) => boolean) =>
    Object.entries(answered).reduce((sum, [key, count]) => (fits(key) ? sum + count : sum), 0);
  const turnedAway = Object.values(refused).reduce((sum, count) => sum + count, 0);
  return { requests: total(() => true), serverErrors: total((key) => key.endsWith('5xx')), turnedAway };
}

function since(now: readonly number[], before: readonly number[]): number[] {
  return now.map((count, i) => count - (before[i] ?? 0));
}
