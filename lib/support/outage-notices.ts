import { formatSpan } from './duration';

/** Interval of the notices of one outage, ms. A failure that comes later than this after the last one begins another. */
const EVERY_MS = 60_000;

/** Decides which failures of one outage are told: the first, and then one a minute. */
export class OutageNotices {
  private since = 0;
  private toldAt = 0;
  private failedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @returns '' for the first failure, `, for 2 min now` for one that is told later; undefined: it is not told. */
  failed(): string | undefined {
    const now = this.now();
    const isFirst = now - this.failedAt > EVERY_MS;
    this.failedAt = now;
    if (isFirst) this.since = now;
    else if (now - this.toldAt < EVERY_MS) return undefined;
    this.toldAt = now;
    return isFirst ? '' : `, for ${formatSpan(now - this.since)} now`;
  }

  /** Call when it works: the next failure begins another outage. */
  over(): void {
    this.failedAt = Number.NEGATIVE_INFINITY;
  }
}
