import { BOUNDS_MS } from '../support/histogram';

/** Durations by the buckets of BOUNDS_MS: a bucket holds those up to its bound and above the previous one. */
export interface Buckets {
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** The reasons why a request is shed with 503 before the app sees it. `stale`: its caller has given up already. */
export const SHED_REASONS = ['full', 'timeout', 'stale'] as const;
export type ShedReason = (typeof SHED_REASONS)[number];

/**
 * Counters of the app's finished requests in one process or many, since the start; they only grow. Health checks and
 * the operator's pages are not counted.
 */
export interface RequestCounts {
  /** By method and class of status: `GET 2xx`. */
  readonly answered: Readonly<Record<string, number>>;
  /** Those of the answered requests that were shed, by reason. */
  readonly shed: Readonly<Record<ShedReason, number>>;
  /** Time from arrival to end, streams and long polls included. */
  readonly duration: Buckets;
  /** Time spent waiting for a slot. */
  readonly queued: Buckets;
}

/** The greatest durations of some requests, ms; 0 when there were none. They bound the percentiles. */
export interface Slowest {
  readonly durationMs: number;
  readonly queuedMs: number;
}

export const NONE_SLOW: Slowest = { durationMs: 0, queuedMs: 0 };

export function slowerOf(a: Slowest, b: Slowest): Slowest {
  return { durationMs: Math.max(a.durationMs, b.durationMs), queuedMs: Math.max(a.queuedMs, b.queuedMs) };
}

/** @returns the sums; zeros for no parts. */
export function sumRequests(parts: readonly RequestCounts[]): RequestCounts {
  return {
    answered: sumByKey(parts.map((part) => part.answered)),
    shed: { full: 0, timeout: 0, stale: 0, ...sumByKey(parts.map((part) => part.shed)) },
    duration: sumBuckets(parts.map((part) => part.duration)),
    queued: sumBuckets(parts.map((part) => part.queued)),
  };
}

export function sumByKey(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const part of parts) {
    for (const [key, count] of Object.entries(part)) sum[key] = (sum[key] ?? 0) + count;
  }
  return sum;
}

function sumBuckets(parts: readonly Buckets[]): Buckets {
  return {
    counts: Array.from({ length: BOUNDS_MS.length + 1 }, (_, i) =>
      parts.reduce((sum, { counts }) => sum + (counts[i] ?? 0), 0),
    ),
    sumMs: parts.reduce((sum, part) => sum + part.sumMs, 0),
  };
}
