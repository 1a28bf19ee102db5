import { Histogram, type HistogramData } from '../support/histogram';

/** The reasons why a request is shed with 503 before the app sees it. */
export const SHED_REASONS = ['full', 'timeout'] as const;
export type ShedReason = (typeof SHED_REASONS)[number];

/**
 * Counters of the app's finished requests in one process or many, since the start; they only grow. Health checks and
 * the operator's pages are not counted.
 */
export interface RequestCounts {
  /** By method and class of status: `GET 2xx`. */
  readonly answered: Readonly<Record<string, number>>;
  /** Answered requests that were shed, by reason. */
  readonly shed: Readonly<Record<ShedReason, number>>;
  /** By the buckets of BOUNDS_MS. Time from arrival to end, streams and long polls included. */
  readonly duration: HistogramData;
  /** Time spent waiting for a slot. */
  readonly queued: HistogramData;
}

/** A request in which an error was not caught, so that it was answered with 500 or above. */
export interface RequestFailure {
  /** Method and path. */
  readonly what: string;
  /** Name and message of the error, in one line. */
  readonly error: string;
  readonly id: string;
  readonly ageMs: number;
}

/** Requests that the app rejected with one status, since their values were wrong. */
export interface Rejected {
  /** Method and path, without the ids in it. */
  readonly route: string;
  readonly status: number;
  /** Within the last minute. */
  readonly count: number;
}

/** @param what method and path. @returns it without the ids in it. */
export function routeOf(what: string): string {
  return what.replace(/\/(?:\d+|[\da-f-]{36})(?=\/|$)/gi, '/…');
}

/** The longest durations among some requests, ms; 0 when there were none. They bound the percentiles. */
export interface Slowest {
  readonly durationMs: number;
  readonly queuedMs: number;
}

export const NONE_SLOW: Slowest = { durationMs: 0, queuedMs: 0 };

export function maxSlowest(a: Slowest, b: Slowest): Slowest {
  return { durationMs: Math.max(a.durationMs, b.durationMs), queuedMs: Math.max(a.queuedMs, b.queuedMs) };
}

/** @returns the sums; zeros for no parts. */
export function sumRequests(parts: readonly RequestCounts[]): RequestCounts {
  return {
    answered: sumByKey(parts.map((part) => part.answered)),
    shed: { full: 0, timeout: 0, ...sumByKey(parts.map((part) => part.shed)) },
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

function sumBuckets(parts: readonly HistogramData[]): HistogramData {
  const sum = new Histogram();
  for (const part of parts) sum.add(part);
  return { counts: sum.counts, sumMs: sum.sumMs };
}

/** Totals of the counters, for charts and rates. */
export function sumTotals({ answered, shed }: RequestCounts): {
  readonly requests: number;
  readonly serverErrors: number;
  readonly shed: number;
} {
  const failed = Object.entries(answered).filter(([key]) => key.endsWith('5xx'));
  return {
    requests: sum(Object.values(answered)),
    serverErrors: sum(failed.map(([, count]) => count)),
    shed: sum(Object.values(shed)),
  };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}
