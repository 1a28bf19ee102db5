import { type RequestCounts, type Slowest, sumTotals } from '../../core/request-counts';
import { RateWindow } from '../../support/histogram';
import type { TreeStatus } from '../status';

export const SAMPLE_INTERVAL_MS = 2000;
const MAX_AGE_MS = 60_000;
/** Windows of the request rate, and of the slowest request, ms. */
const RATE_MS = 10_000;
const SLOWEST_MS = 5000;

/** Rates of the recent past, as differences between samples of the counters. */
export class RecentRates {
  private readonly window = new RateWindow<ReturnType<typeof sumTotals> & { readonly slowestMs: number }>(MAX_AGE_MS);
  /** The slowest request since the last sample. */
  private slowestMs = 0;

  /** @param requests counters since the tree began. @param now ms. */
  constructor(
    private readonly requests: () => RequestCounts,
    private readonly now: () => number = Date.now,
  ) {
    this.sample();
  }

  sample(): undefined {
    this.window.add(this.now(), { ...sumTotals(this.requests()), slowestMs: this.slowestMs });
    this.slowestMs = 0;
  }

  addSlowest({ durationMs }: Slowest): void {
    this.slowestMs = Math.max(this.slowestMs, durationMs);
  }

  read(): TreeStatus['rates'] {
    const at = this.now();
    const now = { at, value: sumTotals(this.requests()) };
    const [before = now] = this.window.within(at, RATE_MS);
    const [{ value: oldest } = now] = this.window.within(at, MAX_AGE_MS);
    // A sample at the very edge of the window covers the time before it.
    const late = this.window.within(at, SLOWEST_MS).filter((one) => one.at > at - SLOWEST_MS);
    return {
      requestsPerS: (now.value.requests - before.value.requests) / Math.max(1, (at - before.at) / 1000),
      shed: now.value.shed - oldest.shed,
      serverErrors: now.value.serverErrors - oldest.serverErrors,
      slowestMs: Math.max(this.slowestMs, ...late.map(({ value }) => value.slowestMs)),
    };
  }
}
