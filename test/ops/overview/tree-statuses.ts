import type {
  ProcessorStats,
  ProcessorStatus,
  SlotStatus,
  TreeStatus,
  WorkerStats,
  WorkerStatus,
} from '../../../lib/cluster/status';
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
    poolCapacity: 5,
    busyThreads: 0,
    maxThreads: 5,
    requestsCount: 100,
    backlogMax: 0,
    shedCount: 0,
    queueTimeP99Ms: 0,
    inFlight: [],
    requests: sumRequests([]),
    slowest: NONE_SLOW,
    pool: POOL,
    untrustedProxy: null,
    unready: null,
    lastError: null,
    rejected: null,
    ...VITALS,
    ...changes,
  };
}

export function workerOf(index: number, changes: Partial<WorkerStats> = {}): WorkerStats {
  return {
    startedAt: before(7200),
    pid: 100 + index,
    index,
    phase: 0,
    booted: true,
    state: 'ready',
    lastCheckin: before(1),
    heartbeatAgeMs: 0,
    lastStatus: statusOf(),
    pssMb: 60,
    restarts: {},
    ...changes,
  };
}

export function slotOf(index: number, changes: Partial<SlotStatus> = {}): SlotStatus {
  return { index, lastTermination: null, nextRestart: null, drainUntil: null, outgoing: null, ...changes };
}

export function processorStatusOf(changes: Partial<ProcessorStatus> = {}): ProcessorStatus {
  const idle = { inFlight: [], quiet: false, listening: true, progress: [], stalled: null, waiting: [], pool: POOL };
  return { ...idle, ...VITALS, ...changes };
}

export function processorOf(changes: Partial<ProcessorStats> = {}): ProcessorStats {
  return {
    identity: 'abc-0',
    pid: 90,
    state: 'ready',
    startedAt: before(7200),
    lastCheckin: before(1),
    heartbeatAgeMs: 0,
    restarts: 0,
    pssMb: 70,
    lastStatus: processorStatusOf(),
    ...changes,
  };
}

interface Changes extends Partial<Omit<TreeStatus, 'stats' | 'limits'>> {
  readonly workers?: readonly WorkerStats[];
  readonly jobs?: ProcessorStats;
  readonly stats?: Partial<TreeStatus['stats']>;
  readonly limits?: Partial<TreeStatus['limits']>;
}

/** A healthy tree of two workers and a job processor, except for the given changes. */
export function treeStatusOf({
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
    nextCulled: workers.at(-1)?.index ?? null,
    processor: { lastTermination: null, nextRestart: null },
    processMetrics: { ...VITALS, pssMb: 30 },
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
      bootTimeoutMs: 30_000,
      databaseConnections: 0,
      ...limits,
    },
    stats: {
      startedAt: before(7200),
      workers: 2,
      phase: 0,
      bootedWorkers: workers.length,
      oldWorkers: 0,
      workerStatus: workers,
      versions: { catamount: '0.1.0', node: 'v20.20.2' },
      pid: 24,
      jobProcessor: jobs,
      totals: { requests: sumRequests([]), workerRestarts: {}, cpuSeconds: {} },
      memory: { pssMb: 220, limitMb: 512 },
      lastPhase: null,
      ...stats,
    },
  };
}
