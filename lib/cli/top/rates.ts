import { processorsOf, reported, type TreeStatus, type WorkerStatus } from '../../cluster/status';
import { SLOWEST_MS, sumTotals } from '../../core/request-counts';
import { BOUNDS_MS, countsSince, quantile, RateWindow } from '../../support/histogram';

/** Span over which rates are computed, ms. Statuses arrive once a second, so over a shorter one rates would jump. */
const SPAN_MS = SLOWEST_MS;

export interface ProcessRates {
  /** undefined for processes that serve no requests. */
  readonly requestsPerS: number | undefined;
  /** CPU cores in use. */
  readonly cpu: number;
}

/** Changes per second over the last seconds. Values that are not known yet are undefined. */
export interface Rates {
  readonly requestsPerS: number | undefined;
  /** Responses with a status of 500 and above. */
  readonly failingPerS: number | undefined;
  /** null if no request has ended. */
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

/** Keeps the last statuses of a tree and computes rates from them. */
export class RateMeter {
  private readonly window = new RateWindow<TreeStatus>(SPAN_MS);
  private id: string | undefined;

  add(treeStatus: TreeStatus): Rates {
    // A restarted primary counts from 0 again, so the statuses of its predecessor are dropped.
    if (treeStatus.id !== this.id) this.window.clear();
    this.id = treeStatus.id;
    const at = Date.parse(treeStatus.at);
    this.window.add(at, treeStatus);
    const [before] = this.window.within(at, SPAN_MS);
    return before && at > before.at ? between(before.value, treeStatus, (at - before.at) / 1000) : NO_RATES;
  }
}

function between(before: TreeStatus, after: TreeStatus, seconds: number): Rates {
  const [then, now] = [before.stats.totals.requests, after.stats.totals.requests];
  const [upToThen, upToNow] = [sumTotals(then), sumTotals(now)];
  const counts = countsSince(now.duration.counts, then.duration.counts);
  return {
    requestsPerS: (upToNow.requests - upToThen.requests) / seconds,
    failingPerS: (upToNow.serverErrors - upToThen.serverErrors) / seconds,
    p50Ms: quantile(BOUNDS_MS, counts, 0.5, after.rates.slowestMs),
    p99Ms: quantile(BOUNDS_MS, counts, 0.99, after.rates.slowestMs),
    byPid: ratesByPid(before, after, seconds),
  };
}

function ratesByPid(before: TreeStatus, after: TreeStatus, seconds: number): Map<number, ProcessRates> {
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

function countersByPid({ stats, processMetrics }: TreeStatus): Map<number, Counters> {
  const ofWeb = ({ cpuSeconds, requests }: WorkerStatus): Counters => ({
    cpuSeconds,
    requests: sumTotals(requests).requests,
  });
  const counters = new Map<number, Counters>();
  const { single } = stats;
  counters.set(stats.pid, single ? ofWeb(single) : { cpuSeconds: processMetrics.cpuSeconds, requests: undefined });
  for (const { pid, lastStatus } of stats.workerStatus) {
    const status = reported(lastStatus);
    if (status) counters.set(pid, ofWeb(status));
  }
  for (const { pid, lastStatus } of processorsOf(stats)) {
    const status = reported(lastStatus);
    if (pid !== null && status) counters.set(pid, { cpuSeconds: status.cpuSeconds, requests: undefined });
  }
  return counters;
}
