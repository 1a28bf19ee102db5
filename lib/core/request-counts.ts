import { BOUNDS_MS } from '../support/histogram';

/** Lengths of time by bucket: those that are at most its bound and above the one before. */
export interface Buckets {
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** Why a request was turned away with 503 before the app saw it. `stale`: whoever sent it had given up already. */
export const SHED_REASONS = ['full', 'timeout', 'stale'] as const;
export type ShedReason = (typeof SHED_REASONS)[number];

/**
 * The app's requests that came to an end, in one process or many, since the start: grows only. Health checks and the
 * operator's pages are none of them.
 */
export interface RequestCounts {
  /** By method and class of status: `GET 2xx`. */
  readonly answered: Readonly<Record<string, number>>;
  /** Of those answered. */
  readonly shed: Readonly<Record<ShedReason, number>>;
  /** From arrival to end, streams and long polls included. */
  readonly duration: Buckets;
  /** Waits for a slot. */
  readonly queued: Buckets;
}

/** The greatest of some requests, ms; 0 where there were none. No percentile of theirs is above it. */
export interface Slowest {
  readonly durationMs: number;
  readonly queuedMs: number;
}

export const NONE_SLOW: Slowest = { durationMs: 0, queuedMs: 0 };

export function slowerOf(a: Slowest, b: Slowest): Slowest {
  return { durationMs: Math.max(a.durationMs, b.durationMs), queuedMs: Math.max(a.queuedMs, b.queuedMs) };
}

/** Sums up; nothing of nothing. */
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
