import type { Loader, LoadResult, LoadTask } from '../load/loader';
import { cpuMs } from './process-tree';
import { interleave } from './rounds';
import type { Served } from './served';
import { percentile } from './statistics';

/** What one server did in one round. */
export interface BurstsResult {
  readonly requestsPerSecond: number;
  /** Of all its processes, per request. */
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface BurstsOptions<K extends string> {
  readonly bursts: number;
  /** Requests of each. */
  readonly amount: number;
  /** Bursts beforehand that are not counted. */
  readonly warmUp: number;
  readonly task: (name: K, burst: number) => Omit<LoadTask, 'amount' | 'url'> & { readonly path: string };
}

/**
 * Loads servers that run side by side in short turns, so that what slows the machine slows all of them: while one is loaded
 * the others idle.
 */
export async function burstsInTurn<K extends string>(
  loader: Loader,
  servers: Readonly<Record<K, Served>>,
  { bursts, amount, warmUp, task }: BurstsOptions<K>,
): Promise<Record<K, BurstsResult>> {
  const names = Object.keys(servers) as K[];
  let done = 0;
  const burst = async (name: K) => {
    const server = servers[name];
    const { path, ...rest } = task(name, done++);
    const pids = server.pids;
    const before = cpuMs(pids);
    const result = await loader.run({ ...rest, url: server.url + path, amount });
    return { ...result, cpuMs: cpuMs(pids) - before };
  };
  await interleave(names, warmUp, burst);
  const results = await interleave(names, bursts, burst);
  return Object.fromEntries(names.map((name) => [name, sum(results[name])])) as Record<K, BurstsResult>;
}

function sum(bursts: readonly (LoadResult & { readonly cpuMs: number })[]): BurstsResult {
  const requests = bursts.reduce((total, { answered }) => total + answered, 0);
  const seconds = bursts.reduce((total, { answered, requestsPerSecond }) => total + answered / requestsPerSecond, 0);
  const cpu = bursts.reduce((total, burst) => total + burst.cpuMs, 0);
  const latencies = bursts.flatMap((burst) => burst.latencies);
  return {
    requestsPerSecond: requests / seconds,
    cpuUs: (cpu / requests) * 1000,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  };
}
