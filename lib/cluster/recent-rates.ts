import type { RequestCounts, Slowest } from '../core/request-counts';
import { sumsOf } from './figures';
import type { TreePicture } from './tree-picture';

const EVERY_MS = 2000;
const KEPT_MS = 60_000;
/** Requests a second are those of the last so many milliseconds. */
const RATE_MS = 10_000;
/** The slowest request is looked for among those of the last so many milliseconds: as long as `top` looks back. */
export const SLOWEST_MS = 5000;

/** `slowestMs`: of the requests since the sample before. */
type Sample = ReturnType<typeof sumsOf> & { readonly at: number; readonly slowestMs: number };

/** What the tree has answered of late, as differences between samples. */
export class RecentRates {
  private samples: Sample[] = [];
  private timer: NodeJS.Timeout | undefined;
  private slowestMs = 0;

  /** @param requests since the tree began. */
  constructor(
    private readonly requests: () => RequestCounts,
    private readonly now: () => number = Date.now,
  ) {
    this.sample();
  }

  start(): void {
    this.timer ??= setInterval(() => this.sample(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  sample(): void {
    const at = this.now();
    this.samples = this.samples.filter((one) => one.at >= at - KEPT_MS);
    this.samples.push({ at, ...sumsOf(this.requests()), slowestMs: this.slowestMs });
    this.slowestMs = 0;
  }

  addSlowest({ durationMs }: Slowest): void {
    this.slowestMs = Math.max(this.slowestMs, durationMs);
  }

  read(): TreePicture['rates'] {
    const now = { at: this.now(), ...sumsOf(this.requests()) };
    const oldest = this.samples[0] ?? now;
    const before = this.samples.find((one) => one.at >= now.at - RATE_MS) ?? now;
    const seconds = Math.max(1, (now.at - before.at) / 1000);
    const late = this.samples.filter((one) => one.at > now.at - SLOWEST_MS);
    return {
      requestsPerS: (now.requests - before.requests) / seconds,
      turnedAway: now.turnedAway - oldest.turnedAway,
      serverErrors: now.serverErrors - oldest.serverErrors,
      slowestMs: Math.max(this.slowestMs, ...late.map((one) => one.slowestMs)),
    };
  }
}
