import { processorsOf, reported, type TreeStatus, type WorkerStatus } from '../../cluster/status';
import type { PoolStats, ProcessMetrics } from '../../core/process-metrics';
import { SHED_REASONS } from '../../core/request-counts';
import { ISSUE_CODES, servingWorkers } from '../../health/issues';
import { BOUNDS_MS } from '../../support/histogram';
import { counter, type Family, gauge, histogram, only, type Sample, sample } from './exposition';
import type { Scrape } from './scrape';

const MIB = 1_048_576;

export const TREE: readonly Family[] = [
  gauge('build_info', 'Always 1; the labels name the app and the versions of Catamount and Node.', ({ tree }) =>
    tree
      ? [
          {
            labels: { app: tree.app, version: tree.stats.versions.catamount, node: tree.stats.versions.node },
            value: 1,
          },
        ]
      : [],
  ),
  gauge('start_time_seconds', 'Start time of the primary, in seconds since 1970.', ({ tree }) =>
    only(tree && Date.parse(tree.stats.startedAt) / 1000),
  ),
  gauge('phase', 'Generation of the web workers; every phased restart adds 1.', ({ tree }) => only(tree?.stats.phase)),
  gauge(
    'workers',
    'Number of web workers that the tree should have. 0: this tree serves no web (--only jobs).',
    ({ tree }) => only(tree?.stats.workers),
  ),
  gauge('workers_ready', 'Number of web workers that serve.', ({ tree }) => only(tree && servingWorkers(tree.stats))),
  counter('worker_restarts_total', 'Number of web workers that have replaced another one, by reason.', ({ tree }) =>
    tree ? REASONS.map((reason) => ({ labels: { reason }, value: tree.stats.totals.workerRestarts[reason] ?? 0 })) : [],
  ),
  gauge('memory_bytes', 'Memory that the whole tree uses, as the sum of proportional set sizes.', ({ tree }) =>
    only(tree?.stats.memory.pssMb && tree.stats.memory.pssMb * MIB),
  ),
  gauge('memory_limit_bytes', 'Memory that the whole tree may use. Absent without a limit.', ({ tree }) =>
    only(tree?.stats.memory.limitMb && tree.stats.memory.limitMb * MIB),
  ),
  gauge(
    'issues',
    'Number of issues that need a person, by the code that the overview, catamount top and catamount status share.',
    ({ issues }) =>
      issues
        ? ISSUE_CODES.map((code) => ({ labels: { code }, value: issues.filter((one) => one.code === code).length }))
        : [],
  ),
  gauge(
    'scrape_errors',
    'Number of parts of this text that are left out because their source failed or did not answer within 4 s.',
    ({ missing }) => only(missing),
  ),
  gauge(
    'redis_up',
    'Whether Redis answers the web worker that served this scrape. Absent from trees without Redis.',
    ({ redisAnswers }) => only(redisAnswers === undefined ? undefined : Number(redisAnswers)),
  ),
  gauge('postgres_up', 'Whether Postgres answers the web worker that served this scrape.', ({ postgresAnswers }) =>
    only(postgresAnswers ? 1 : 0),
  ),
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
  add('primary', { pssMb: processMetrics.pssMb, processMetrics, pool: undefined });
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
  gauge(
    'process_proportional_memory_bytes',
    'Proportional set size (PSS): private pages and a share of shared ones. The sum is what the tree uses.',
    (scrape) => byPlace(scrape, ({ pssMb }) => pssMb && pssMb * MIB, sum),
  ),
  gauge('process_resident_memory_bytes', 'Resident set size (RSS).', (scrape) =>
    byPlace(scrape, ({ processMetrics }) => processMetrics && processMetrics.rssMb * MIB, sum),
  ),
  counter(
    'process_cpu_seconds_total',
    'CPU time used in each place of the tree, by all processes that it has held.',
    ({ tree }) =>
      Object.entries(tree?.stats.totals.cpuSeconds ?? {}).map(([process, value]) => ({ labels: { process }, value })),
  ),
  gauge(
    'process_event_loop_lag_p99_seconds',
    "99th percentile of the event loop's delay over the last second or so.",
    (scrape) => byPlace(scrape, ({ processMetrics }) => processMetrics && processMetrics.lagP99Ms / 1000, most),
  ),
  gauge(
    'process_event_loop_utilization_ratio',
    'Share of the last second or so in which the event loop was busy, 0 to 1.',
    (scrape) => byPlace(scrape, ({ processMetrics }) => processMetrics?.utilization, most),
  ),
  gauge('postgres_pool_connections', 'Connections to Postgres that a process has open.', (scrape) => [
    ...byPlace(scrape, ({ pool }) => pool?.used, sum, { state: 'used' }),
    ...byPlace(scrape, ({ pool }) => pool?.idle, sum, { state: 'idle' }),
  ]),
  gauge('postgres_pool_limit', 'Maximum number of connections to Postgres that a process may open.', (scrape) =>
    byPlace(scrape, ({ pool }) => pool?.max, sum),
  ),
  gauge('postgres_pool_waiting', 'Requests and jobs that wait for a connection to Postgres.', (scrape) =>
    byPlace(scrape, ({ pool }) => pool?.waiting, sum),
  ),
];

/** The processes that serve requests; during a replacement both workers appear under the name of their slot. */
function webProcesses({ stats }: TreeStatus): { readonly process: string; readonly status: WorkerStatus }[] {
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

const countedRequests = ({ tree }: Scrape) => tree?.stats.totals.requests;

/** Metrics of the app's requests, without health checks and the operator's pages. */
export const HTTP: readonly Family[] = [
  counter(
    'http_requests_total',
    'Finished requests, by method and class of status. 499 (4xx): the client left before the response.',
    (scrape) => {
      const answered = countedRequests(scrape)?.answered;
      return answered ? byMethodAndStatus(answered) : [];
    },
  ),
  histogram('http_request_duration_seconds', 'Duration of requests from arrival to end, including waits.', (scrape) => {
    const requests = countedRequests(scrape);
    return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.duration }] : [];
  }),
  histogram('http_request_queue_seconds', 'How long requests waited for a slot.', (scrape) => {
    const requests = countedRequests(scrape);
    return requests ? [{ boundsMs: BOUNDS_MS, buckets: requests.queued }] : [];
  }),
  counter(
    'http_requests_shed_total',
    'Requests shed with 503: the backlog was full, or the wait too long (timeout).',
    (scrape) => {
      const requests = countedRequests(scrape);
      return requests ? SHED_REASONS.map((reason) => ({ labels: { reason }, value: requests.shed[reason] })) : [];
    },
  ),
  gauge('http_requests_in_flight', 'Requests that hold a slot.', (scrape) =>
    byProcess(scrape, (status) => status.busyThreads),
  ),
  gauge('http_requests_queued', 'Requests that wait for a slot: the backlog.', (scrape) =>
    byProcess(scrape, (status) => status.backlog),
  ),
  gauge('http_concurrency_limit', 'Maximum number of requests in flight.', (scrape) =>
    byProcess(scrape, (status) => status.maxThreads),
  ),
];
