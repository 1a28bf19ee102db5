import type { ProcessorStats, SlotStatus, TreeStatus, WorkerStats, WorkerStatus } from '../../../lib/cluster/status';
import { NONE_SLOW, sumRequests } from '../../../lib/core/request-counts';

export const NOW = '2026-03-12T14:02:11.000Z';

export function before(seconds: number): string {
  return new Date(Date.parse(NOW) - seconds * 1000).toISOString();
}

const VITALS = { lagP99Ms: 12, utilization: 0.1, rssMb: 80, cpuSeconds: 3 };
const POOL = { used: 0, idle: 1, waiting: 0, max: 5 };

export function statusOf(changes: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    backlog: 0,
    running: 5,
    pool_capacity: 5,
    busy_threads: 0,
    max_threads: 5,
    requests_count: 100,
    backlog_max: 0,
    shed_count: 0,
    queue_time_p99_ms: 0,
    in_flight: [],
    requests: sumRequests([]),
    slowest: NONE_SLOW,
    pool: POOL,
    ...VITALS,
    ...changes,
  };
}

export function workerOf(index: number, changes: Partial<WorkerStats> = {}): WorkerStats {
  return {
    started_at: before(7200),
    pid: 100 + index,
    index,
    phase: 0,
    booted: true,
    state: 'ready',
    last_checkin: before(1),
    last_status: statusOf(),
    pss_mb: 60,
    restarts: {},
    ...changes,
  };
}

export function slotOf(index: number, changes: Partial<SlotStatus> = {}): SlotStatus {
  return { index, death: null, nextTry: null, drainUntil: null, outgoing: null, ...changes };
}

export function processorOf(changes: Partial<ProcessorStats> = {}): ProcessorStats {
  return {
    pid: 90,
    state: 'ready',
    started_at: before(7200),
    last_checkin: before(1),
    restarts: 0,
    pss_mb: 70,
    last_status: { in_flight: [], quiet: false, pool: POOL, ...VITALS },
    ...changes,
  };
}

interface Changes extends Partial<Omit<TreeStatus, 'stats' | 'limits'>> {
  readonly workers?: readonly WorkerStats[];
  readonly jobs?: ProcessorStats;
  readonly stats?: Partial<TreeStatus['stats']>;
  readonly limits?: Partial<TreeStatus['limits']>;
}

/** A healthy tree of two workers and a job processor, but for what is said otherwise. */
export function pictureOf({
  workers = [workerOf(0), workerOf(1)],
  jobs = processorOf(),
  stats,
  limits,
  ...changes
}: Changes = {}): TreeStatus {
  return {
    at: NOW,
    id: 'abc',
    name: 'web.1',
    place: 'here',
    app: 'shop',
    host: 'vm',
    address: 'http://0.0.0.0:3000',
    slots: workers.map(({ index }) => slotOf(index)),
    processor: { death: null, nextTry: null },
    vitals: { ...VITALS, pssMb: 30 },
    rates: { requestsPerS: 41, shed: 0, serverErrors: 0, slowestMs: 0 },
    events: [],
    embedded: [],
    phasedRestart: false,
    stopping: false,
    ...changes,
    limits: {
      maxThreads: 5,
      backlog: 512,
      jobConcurrency: 2,
      queues: ['default', 'mailer'],
      weighted: false,
      latencyWarningMs: 60_000,
      recycleAboveMb: 435,
      drainMs: 25_000,
      ...limits,
    },
    stats: {
      started_at: before(7200),
      workers: 2,
      phase: 0,
      booted_workers: workers.length,
      old_workers: 0,
      worker_status: workers,
      versions: { catamount: '0.1.0', node: 'v20.20.2' },
      pid: 24,
      job_processor: jobs,
      single: null,
      totals: { requests: sumRequests([]), worker_restarts: {}, cpu_seconds: {} },
      memory: { pss_mb: 220, limit_mb: 512 },
      last_phase: null,
      ...stats,
    },
  };
}
