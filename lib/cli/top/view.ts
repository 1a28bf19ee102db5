import { SLOWEST_MS } from '../../cluster/primary/tree-monitor';
import { processorsOf, reported, type TreeStatus, type WorkerStatus } from '../../cluster/status';
import type { RequestCounts } from '../../core/request-counts';
import { percentile } from '../../support/histogram';
import type { Stores } from './stores';

/** How a line is shown. Trouble also has a word or a sign: there may be no colours. */
export type Tone = 'plain' | 'strong' | 'faint' | 'selected' | 'warn' | 'bad';

export interface Line {
  readonly text: string;
  readonly tone: Tone;
}

export function line(text = '', tone: Tone = 'plain'): Line {
  return { text, tone };
}

/** All that a frame is drawn from. */
export interface View {
  /** undefined as long as the tree has not answered. */
  readonly picture: TreeStatus | undefined;
  readonly rates: Rates;
  readonly stores: Stores;
  /** Why the tree does not answer; undefined when it does. */
  readonly silence: string | undefined;
  /** Index among the workers that are shown. */
  readonly selected: number;
  /** What became of the last order. */
  readonly message: Line | undefined;
  /** To be answered by y or n. */
  readonly question: string | undefined;
  readonly help: boolean;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Stands for what is not known: never 0. */
export const UNKNOWN = '–';

type Value = number | null | undefined;

function known(value: Value): value is number {
  return value !== null && value !== undefined;
}

/** `4 ms`, `1.2 s`. */
export function time(ms: Value): string {
  if (!known(ms)) return UNKNOWN;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `67 MB`. */
export function megabytes(mb: Value): string {
  return known(mb) ? `${Math.round(mb)} MB` : UNKNOWN;
}

/** `0.4`, `12`: how many a second. */
export function rate(perS: Value): string {
  if (!known(perS)) return UNKNOWN;
  return perS > 0 && perS < 9.95 ? perS.toFixed(1) : String(Math.round(perS));
}

/** `35 %`. */
export function percent(share: Value): string {
  return known(share) ? `${Math.round(share * 100)} %` : UNKNOWN;
}

export function count(value: Value): string {
  return known(value) ? value.toLocaleString('en-US') : UNKNOWN;
}

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
  private pictures: TreeStatus[] = [];

  add(picture: TreeStatus): Rates {
    // Another primary has begun to count anew.
    const kept = this.pictures.filter(({ id, at }) => id === picture.id && timeOf(picture) - Date.parse(at) <= SPAN_MS);
    this.pictures = [...kept, picture];
    const [before] = this.pictures;
    const seconds = before ? (timeOf(picture) - timeOf(before)) / 1000 : 0;
    return before && seconds > 0 ? between(before, picture, seconds) : NO_RATES;
  }
}

function between(before: TreeStatus, after: TreeStatus, seconds: number): Rates {
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

function countersByPid({ stats, vitals }: TreeStatus): Map<number, Counters> {
  const ofWeb = ({ cpuSeconds, requests }: WorkerStatus): Counters => ({ cpuSeconds, requests: answered(requests) });
  const counters = new Map<number, Counters>();
  const { single } = stats;
  counters.set(stats.pid, single ? ofWeb(single) : { cpuSeconds: vitals.cpuSeconds, requests: undefined });
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

function answered(requests: RequestCounts): number {
  return Object.values(requests.answered).reduce((sum, count) => sum + count, 0);
}

function failing({ answered: byStatus }: RequestCounts): number {
  return Object.entries(byStatus).reduce((sum, [key, count]) => (key.endsWith('5xx') ? sum + count : sum), 0);
}

function timeOf({ at }: TreeStatus): number {
  return Date.parse(at);
}
