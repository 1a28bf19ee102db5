import { NO_RATES } from '../../lib/cli/top/rates';
import { NO_STORES } from '../../lib/cli/top/stores';
import type { View } from '../../lib/cli/top/view';
import type { WorkerStats, WorkerStatus } from '../../lib/cluster/stats';
import type { TreePicture } from '../../lib/cluster/tree-picture';
import { BOUNDS_MS, type RequestCounts, sumRequests } from '../../lib/core/request-counts';

export const NOW = Date.UTC(2026, 10, 25, 14, 2, 11);

/** So many requests, of which each took up to 25 ms. */
export function counts(answered: Readonly<Record<string, number>>): RequestCounts {
  const total = Object.values(answered).reduce((sum, count) => sum + count, 0);
  const buckets = { counts: BOUNDS_MS.map((bound) => (bound === 25 ? total : 0)).concat(0), sumMs: total * 20 };
  return { ...sumRequests([]), answered, duration: buckets };
}

export function status(about: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    backlog: 0,
    running: 5,
    pool_capacity: 5,
    busy_threads: 0,
    max_threads: 5,
    requests_count: 0,
    backlog_max: 0,
    shed_count: 0,
    queue_time_p99_ms: 0,
    in_flight: [],
    requests: sumRequests([]),
    pool: { used: 0, idle: 0, waiting: 0, max: 3 },
    lagP99Ms: 4,
    utilization: 0.1,
    rssMb: 90,
    cpuSeconds: 1,
    ...about,
  };
}

export function worker(index: number, about: Partial<WorkerStats> = {}): WorkerStats {
  return {
    started_at: new Date(NOW - 60_000).toISOString(),
    pid: 4000 + index,
    index,
    phase: 0,
    booted: true,
    state: 'ready',
    last_checkin: new Date(NOW).toISOString(),
    last_status: status(),
    pss_mb: 61.4,
    restarts: {},
    ...about,
  };
}

/** A tree at its best, `seconds` after NOW. */
export function picture(
  workers: readonly WorkerStats[],
  about: Partial<TreePicture> & { readonly seconds?: number; readonly requests?: RequestCounts } = {},
): TreePicture {
  const { seconds = 0, requests = sumRequests([]), ...rest } = about;
  return {
    at: new Date(NOW + seconds * 1000).toISOString(),
    id: 'f00d',
    name: 'web.1',
    place: 'here',
    app: 'shop',
    host: 'dyno',
    address: 'http://127.0.0.1:3000',
    stats: {
      started_at: new Date(NOW - 3_723_000).toISOString(),
      workers: workers.length,
      phase: 0,
      booted_workers: workers.length,
      old_workers: 0,
      worker_status: workers,
      versions: { catamount: '0.1.0', node: 'v20.19.0' },
      pid: 3999,
      job_processor: {
        pid: 3998,
        state: 'ready',
        started_at: new Date(NOW - 3_723_000).toISOString(),
        last_checkin: new Date(NOW).toISOString(),
        restarts: 0,
        pss_mb: 70,
        last_status: {
          in_flight: [],
          quiet: false,
          pool: { used: 0, idle: 0, waiting: 0, max: 3 },
          lagP99Ms: 3,
          utilization: 0,
          rssMb: 90,
          cpuSeconds: 3,
        },
      },
      single: null,
      totals: { requests, worker_restarts: {}, cpu_seconds: {} },
      memory: { pss_mb: 246, limit_mb: 512 },
      last_phase: null,
    },
    slots: workers.map(({ index }) => ({ index, death: null, nextTry: null, drainUntil: null, outgoing: null })),
    processor: { death: null, nextTry: null },
    vitals: { lagP99Ms: 1, utilization: 0, rssMb: 70, cpuSeconds: 1, pssMb: 27 },
    limits: {
      maxThreads: 5,
      backlog: 512,
      jobConcurrency: 2,
      queues: ['default', 'mailer'],
      weighted: false,
      latencyWarningMs: 60_000,
      recycleAboveMb: 435,
      drainMs: 25_000,
    },
    rates: { requestsPerS: 0, turnedAway: 0, serverErrors: 0 },
    events: [],
    embedded: [],
    phasedRestart: false,
    stopping: false,
    ...rest,
  };
}

export function view(about: Partial<View>): View {
  return {
    picture: undefined,
    rates: NO_RATES,
    stores: NO_STORES,
    silence: undefined,
    selected: 0,
    message: undefined,
    question: undefined,
    help: false,
    ...about,
  };
}
