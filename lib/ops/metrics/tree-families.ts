import { processorsOf, reported, type TreeStatus, type WorkerStatus } from '../../cluster/status';
import type { PoolStats, ProcessMetrics } from '../../core/process-metrics';
import { SHED_REASONS } from '../../core/request-counts';
import { ISSUE_CODES } from '../../health/issues';
import { BOUNDS_MS } from '../../support/histogram';
import { type Family, only, type Sample, sample } from './exposition';
import type { Scrape } from './scrape';

const MIB = 1_048_576;

export const TREE: readonly Family[] = [
  {
    name: 'catamount_build_info',
    type: 'gauge',
    help: 'Always 1; the labels name the app and the versions of Catamount and Node.',
    read: ({ tree }) =>
      tree
        ? [
            {
              labels: { app: tree.app, version: tree.stats.versions.catamount, node: tree.stats.versions.node },
              value: 1,
            },
          ]
        : [],
  },
  {
    name: 'catamount_start_time_seconds',
    type: 'gauge',
    help: 'Start time of the primary, in seconds since 1970.',
    read: ({ tree }) => only(tree && Date.parse(tree.stats.startedAt) / 1000),
  },
  {
    name: 'catamount_phase',
    type: 'gauge',
    help: 'Generation of the web workers; every phased restart adds 1.',
    read: ({ tree }) => only(tree?.stats.phase),
  },
  {
    name: 'catamount_workers',
    type: 'gauge',
    help: 'Number of web workers that the tree should have. 0: the primary serves the web itself.',
    read: ({ tree }) => only(tree?.stats.workers),
  },
  {
    name: 'catamount_workers_ready',
    type: 'gauge',
    help: 'Number of web workers that serve.',
    read: ({ tree }) => only(tree?.stats.bootedWorkers),
  },
  {
    name: 'catamount_worker_restarts_total',
    type: 'counter',
    help: 'Number of web workers that have replaced another one, by reason.',
    read: ({ tree }) =>
      tree
        ? REASONS.map((reason) => ({ labels: { reason }, value: tree.stats.totals.workerRestarts[reason] ?? 0 }))
        : [],
  },
  {
    name: 'catamount_memory_bytes',
    type: 'gauge',
    help: 'Memory that the whole tree uses, as the sum of proportional set sizes.',
    read: ({ tree }) => only(tree?.stats.memory.pssMb && tree.stats.memory.pssMb * MIB),
  },
  {
    name: 'catamount_memory_limit_bytes',
    type: 'gauge',
    help: 'Memory that the whole tree may use. Absent without a limit.',
    read: ({ tree }) => only(tree?.stats.memory.limitMb && tree.stats.memory.limitMb * MIB),
  },
  {
    name: 'catamount_issues',
    type: 'gauge',
    help: 'Number of issues that need a person, by the code that the overview, catamount top and catamount status share.',
    read: ({ issues }) =>
      issues
        ? ISSUE_CODES.map((code) => ({ labels: { code }, value: issues.filter((one) => one.code === code).length }))
        : [],
  },
  {
    name: 'catamount_scrape_errors',
    type: 'gauge',
    help: 'Number of parts of this text that are left out because their source failed or did not answer within 4 s.',
    read: ({ missing }) => only(missing),
  },
  {
    name: 'catamount_redis_up',
    type: 'gauge',
    help: 'Whether Redis answers the web worker that served this scrape. Absent from trees without Redis.',
    read: ({ redisAnswers }) => only(redisAnswers === undefined ? undefined : Number(redisAnswers)),
  },
  {
    name: 'catamount_postgres_up',
    type: 'gauge',
    help: 'Whether Postgres answers the web worker that served this scrape.',
    read: ({ postgresAnswers }) => only(postgresAnswers ? 1 : 0),
  },
];

/** All reasons are exported from the start: `increase()` misses a series that appears with its first event. */
const REASONS = ['crash', 'boot', 'timeout', 'phase', 'memory', 'asked'] as const;

/** One place in the tree; it holds two processes while one is replaced. */
interface Place {
  /** The name in the log: `primary`, `web.0`, `jobs`. */
  readonly name: string;
  readonly processes: readonly {
    readonly pssMb: number | null;
    /** undefined before the first heartbeat. */
    readonly processMetrics: ProcessMetrics | undefined;
    readonly pool: PoolStats | undefined;
  }[];
}

function collectPlaces({ stats, processMetrics }: TreeStatus): Place[] {
  const places = new Map<string, Place['processes']>();
  const add = (name: string, one: Place['processes'][number]) => places.set(name, [...(places.get(name) ?? []), one]);
  add('primary', { pssMb: processMetrics.pssMb, processMetrics, pool: stats.single?.pool });
  for (const { index, pssMb, lastStatus } of stats.workerStatus) {
    const status = reported(lastStatus);
    add(`web.${index}`, { pssMb, processMetrics: status, pool: status?.pool });
  }
  for (const { pid, pssMb, lastStatus } of processorsOf(stats)) {
    const status = reported(lastStatus);
    if (pid !== null) add('jobs', { pssMb, processMetrics: status, pool: status?.pool });
  }
  return [...places].map(([name, processes]) => ({ name, processes }));
}

type Part = Place['processes'][number];

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
const most = (values: readonly number[]) => Math.max(...values);

/** One sample for each place where the figure is known. @param inOne combines the processes of one place. */
function byPlace(
  { tree }: Scrape,
  figure: (part: Part) => number | null | undefined,
  inOne: (values: readonly number[]) => number,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  if (!tree) return [];
  return collectPlaces(tree).flatMap(({ name, processes }) => {
    const values = processes.map(figure).filter((value) => value !== null && value !== undefined);
    return sample({ process: name, ...labels }, values.length > 0 ? inOne(values) : null);
  });
}

export const PROCESSES: readonly Family[] = [
  {
    name: 'catamount_process_proportional_memory_bytes',
    type: 'gauge',
    help: 'Proportional set size (PSS): private pages and a share of shared ones. The sum is what the tree uses.',
    read: (scrape) => byPlace(scrape, ({ pssMb }) => pssMb && pssMb * MIB, sum),
  },
  {
    name: 'catamount_process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident set size (RSS).',
    read: (scrape) => byPlace(scrape, ({ processMetrics }) => processMetrics && processMetrics.rssMb * MIB, sum),
  },
  {
    name: 'catamount_process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time used in each place of the tree, by all processes that it has held.',
    read: ({ tree }) =>
      Object.entries(tree?.stats.totals.cpuSeconds ?? {}).map(([process, value]) => ({ labels: { process }, value })),
  },
  {
    name: 'catamount_process_event_loop_lag_p99_seconds',
    type: 'gauge',
    help: "99th percentile of the event loop's delay over the last second or so.",
    read: (scrape) => byPlace(scrape, ({ processMetrics }) => processMetrics && processMetrics.lagP99Ms / 1000, most),
  },
  {
    name: 'catamount_process_event_loop_utilization_ratio',
    type: 'gauge',
    help: 'Share of the last second or so in which the event loop was busy, 0 to 1.',
    read: (scrape) => byPlace(scrape, ({ processMetrics }) => processMetrics?.utilization, most),
  },
  {
    name: 'catamount_postgres_pool_connections',
    type: 'gauge',
    help: 'Connections to Postgres that a process has open.',
    read: (scrape) => [
      ...byPlace(scrape, ({ pool }) => pool?.used, sum, { state: 'used' }),
      ...byPlace(scrape, ({ pool }) => pool?.idle, sum, { state: 'idle' }),
    ],
  },
  {
    name: 'catamount_postgres_pool_limit',
    type: 'gauge',
    help: 'Maximum number of connections to Postgres that a process may open.',
    read: (scrape) => byPlace(scrape, ({ pool }) => pool?.max, sum),
  },
  {
    name: 'catamount_postgres_pool_waiting',
    type: 'gauge',
    help: 'Requests and jobs that wait for a connection to Postgres.',
    read: (scrape) => byPlace(scrape, ({ pool }) => pool?.waiting, sum),
  },
];

/** The processes that serve requests; during a replacement both workers appear under the name of their slot. */
function webProcesses({ stats }: TreeStatus): { readonly process: string; readonly status: WorkerStatus }[] {
  if (stats.single) return [{ process: 'primary', status: stats.single }];
  return stats.workerStatus.flatMap(({ index, lastStatus }) => {
    const status = reported(lastStatus);
    return status ? [{ process: `web.${index}`, status }] : [];
  });
}

function byProcess({ tree }: Scrape, figure: (status: WorkerStatus) => number): Sample[] {
  const sums = new Map<string, number>();
  for (const { process, status } of tree ? webProcesses(tree) : []) {
    sums.set(process, (sums.get(process) ?? 0) + figure(status));
  }
  return [...sums].map(([process, value]) => ({ labels: { process }, value }));
}

/** Exports the usual status classes of every method in use, so that `increase()` sees the first error of a kind. */
function byMethodAndStatus(answered: Readonly<Record<string, number>>): Sample[] {
  const methods = new Set(['GET', ...Object.keys(answered).map((key) => key.split(' ')[0] ?? '')]);
  const keys = [...methods].flatMap((method) => USUAL.map((status) => `${method} ${status}`));
  return [...new Set([...keys, ...Object.keys(answered)])].map((key) => {
    const [method = '', status = ''] = key.split(' ');
    return { labels: { method, status }, value: answered[key] ?? 0 };
  });
}

const USUAL = ['2xx', '3xx', '4xx', '5xx'];

const requestsOf = ({ tree }: Scrape) => tree?.stats.totals.requests;

/** Metrics of the app's requests, without health checks and the operator's pages. */
export const HTTP: readonly Family[] = [
  {
    name: 'catamount_http_requests_total',
    type: 'counter',
    help: 'Finished requests, by method and class of status. 499 (4xx): the client left before the response.',
    read: (scrape) => {
      const answered = requestsOf(scrape)?.answered;
      return answered ? byMethodAndStatus(answered) : [];
    },
  },
  {
    name: 'catamount_http_request_duration_seconds',
    type: 'histogram',
    help: 'Duration of requests from arrival to end, including waits.',
    read: (scrape) => {
      const requests = requestsOf(scrape);
      return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.duration }] : [];
    },
  },
  {
    name: 'catamount_http_request_queue_seconds',
    type: 'histogram',
    help: 'How long requests waited for a slot.',
    read: (scrape) => {
      const requests = requestsOf(scrape);
      return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.queued }] : [];
    },
  },
  {
    name: 'catamount_http_requests_shed_total',
    type: 'counter',
    help: 'Requests shed with 503: the backlog was full, the wait too long (timeout), or the client gone (stale).',
    read: (scrape) => {
      const requests = requestsOf(scrape);
      return requests ? SHED_REASONS.map((reason) => ({ labels: { reason }, value: requests.shed[reason] })) : [];
    },
  },
  {
    name: 'catamount_http_requests_in_flight',
    type: 'gauge',
    help: 'Requests that hold a slot.',
    read: (scrape) => byProcess(scrape, (status) => status.busyThreads),
  },
  {
    name: 'catamount_http_requests_queued',
    type: 'gauge',
    help: 'Requests that wait for a slot: the backlog.',
    read: (scrape) => byProcess(scrape, (status) => status.backlog),
  },
  {
    name: 'catamount_http_concurrency_limit',
    type: 'gauge',
    help: 'Maximum number of requests in flight.',
    read: (scrape) => byProcess(scrape, (status) => status.maxThreads),
  },
];
