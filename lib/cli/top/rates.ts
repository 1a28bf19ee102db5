import { SLOWEST_MS } from '../../cluster/recent-rates';
import { processorsOf, told, type WorkerStatus } from '../../cluster/stats';
import type { TreePicture } from '../../cluster/tree-picture';
import type { RequestCounts } from '../../core/request-counts';
import { percentile } from '../../ops/plots/percentile';

/** Over how long rates are told, ms: heartbeats come once a second, so a shorter one would jump. */
const SPAN_MS = SLOWEST_MS;

export interface ProcessRates {
  /** undefined where it serves no web. */
  readonly requestsPerS: number | undefined;
  /** Cores in use. */
  readonly cpu: number;
}

/** How much has changed over the last seconds; what is not known yet is undefined. */
export interface Rates {
  readonly requestsPerS: number | undefined;
  /** Answers of 500 and above. */
  readonly failingPerS: number | undefined;
  /** null: no request came to an end. */
  readonly p50Ms: number | null | undefined;
  readonly p99Ms: number | null | undefined;
  readonly byPid: ReadonlyMap<number, ProcessRates>;
}

export const NO_RATES: Rates = {
  requestsPerS: undefined,
  failingPerS: undefined,
  p50Ms: undefined,
  p99Ms: undefined,
  byPid: new Map(),
};

/** Keeps the last pictures of a tree, to tell what has changed between them. */
export class RateMeter {
  private pictures: TreePicture[] = [];

  add(picture: TreePicture): Rates {
    // Another primary has begun to count anew.
    const kept = this.pictures.filter(({ id, at }) => id === picture.id && timeOf(picture) - Date.parse(at) <= SPAN_MS);
    this.pictures = [...kept, picture];
    const [before] = this.pictures;
    const seconds = before ? (timeOf(picture) - timeOf(before)) / 1000 : 0;
    return before && seconds > 0 ? between(before, picture, seconds) : NO_RATES;
  }
}

function between(before: TreePicture, after: TreePicture, seconds: number): Rates {
  const [then, now] = [before.stats.totals.requests, after.stats.totals.requests];
  const counts = now.duration.counts.map((count, i) => count - (then.duration.counts[i] ?? 0));
  return {
    requestsPerS: (answered(now) - answered(then)) / seconds,
    failingPerS: (failing(now) - failing(then)) / seconds,
    p50Ms: percentile(counts, 0.5, after.rates.slowestMs),
    p99Ms: percentile(counts, 0.99, after.rates.slowestMs),
    byPid: ratesByPid(before, after, seconds),
  };
}

function ratesByPid(before: TreePicture, after: TreePicture, seconds: number): Map<number, ProcessRates> {
  const then = countersByPid(before);
  const rates = new Map<number, ProcessRates>();
  for (const [pid, { cpuSeconds, requests }] of countersByPid(after)) {
    const old = then.get(pid);
    if (!old) continue;
    const served = requests === undefined ? undefined : (requests - (old.requests ?? 0)) / seconds;
    rates.set(pid, { requestsPerS: served, cpu: (cpuSeconds - old.cpuSeconds) / seconds });
  }
  return rates;
}

interface Counters {
  readonly cpuSeconds: number;
  readonly requests: number | undefined;
}

function countersByPid({ stats, vitals }: TreePicture): Map<number, Counters> {
  const ofWeb = ({ cpuSeconds, requests }: WorkerStatus): Counters => ({ cpuSeconds, requests: answered(requests) });
  const counters = new Map<number, Counters>();
  const { single } = stats;
  counters.set(stats.pid, single ? ofWeb(single) : { cpuSeconds: vitals.cpuSeconds, requests: undefined });
  for (const { pid, last_status } of stats.worker_status) {
    const status = told(last_status);
    if (status) counters.set(pid, ofWeb(status));
  }
  for (const { pid, last_status } of processorsOf(stats)) {
    const status = told(last_status);
    if (pid !== null && status) counters.set(pid, { cpuSeconds: status.cpuSeconds, requests: undefined });
  }
  return counters;
}

function answered(requests: RequestCounts): number {
  return Object.values(requests.answered).reduce((sum, count) => sum + count, 0);
}

function failing({ answered: byStatus }: RequestCounts): number {
  return Object.entries(byStatus).reduce((sum, [key, count]) => (key.endsWith('5xx') ? sum + count : sum), 0);
}

function timeOf({ at }: TreePicture): number {
  return Date.parse(at);
}
