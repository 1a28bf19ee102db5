import { processorsOf, told } from '../../../cluster/stats';
import type { TreePicture } from '../../../cluster/tree-picture';
import type { PoolUse } from '../../../core/pool-use';
import type { Vitals } from '../../../core/vitals';
import { type Family, type Sample, sample } from '../family';
import type { Readings } from '../readings';

const MIB = 1_048_576;

/** One place in the tree; while its process is replaced there are two in it. */
interface Place {
  /** As the log names it: `primary`, `web.0`, `jobs`. */
  readonly name: string;
  readonly processes: readonly {
    readonly pssMb: number | null;
    /** undefined before the first check-in. */
    readonly vitals: Vitals | undefined;
    readonly pool: PoolUse | undefined;
  }[];
}

export function placesOf({ stats, vitals }: TreePicture): Place[] {
  const places = new Map<string, Place['processes']>();
  const add = (name: string, one: Place['processes'][number]) => places.set(name, [...(places.get(name) ?? []), one]);
  add('primary', { pssMb: vitals.pssMb, vitals, pool: stats.single?.pool });
  for (const { index, pss_mb: pssMb, last_status } of stats.worker_status) {
    const status = told(last_status);
    add(`web.${index}`, { pssMb, vitals: status, pool: status?.pool });
  }
  for (const { pid, pss_mb: pssMb, last_status } of processorsOf(stats)) {
    const status = told(last_status);
    if (pid !== null) add('jobs', { pssMb, vitals: status, pool: status?.pool });
  }
  return [...places].map(([name, processes]) => ({ name, processes }));
}

type Part = Place['processes'][number];

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
const most = (values: readonly number[]) => Math.max(...values);

/** A sample for each place where it is known. */
function byPlace(
  { tree }: Readings,
  figure: (part: Part) => number | null | undefined,
  inOne: (values: readonly number[]) => number,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  if (!tree) return [];
  return placesOf(tree).flatMap(({ name, processes }) => {
    const values = processes.map(figure).filter((value) => value !== null && value !== undefined);
    return sample({ process: name, ...labels }, values.length > 0 ? inOne(values) : null);
  });
}

export const PROCESSES: readonly Family[] = [
  {
    name: 'catamount_process_proportional_memory_bytes',
    type: 'gauge',
    help: 'Proportional set size (PSS): own pages and a share of those in common with others. Sums up to what the tree takes.',
    read: (readings) => byPlace(readings, ({ pssMb }) => pssMb && pssMb * MIB, sum),
  },
  {
    name: 'catamount_process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident set size (RSS).',
    read: (readings) => byPlace(readings, ({ vitals }) => vitals && vitals.rssMb * MIB, sum),
  },
  {
    name: 'catamount_process_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time used in each place of the tree, by all processes that were ever in it.',
    read: ({ tree }) =>
      Object.entries(tree?.stats.totals.cpu_seconds ?? {}).map(([process, value]) => ({ labels: { process }, value })),
  },
  {
    name: 'catamount_process_event_loop_lag_p99_seconds',
    type: 'gauge',
    help: "99th percentile of the event loop's delay over the last second or so.",
    read: (readings) => byPlace(readings, ({ vitals }) => vitals && vitals.lagP99Ms / 1000, most),
  },
  {
    name: 'catamount_process_event_loop_utilization_ratio',
    type: 'gauge',
    help: 'Share of the last second or so in which the event loop was busy, 0 to 1.',
    read: (readings) => byPlace(readings, ({ vitals }) => vitals?.utilization, most),
  },
  {
    name: 'catamount_postgres_pool_connections',
    type: 'gauge',
    help: 'Connections to Postgres that a process holds.',
    read: (readings) => [
      ...byPlace(readings, ({ pool }) => pool?.used, sum, { state: 'used' }),
      ...byPlace(readings, ({ pool }) => pool?.idle, sum, { state: 'idle' }),
    ],
  },
  {
    name: 'catamount_postgres_pool_limit',
    type: 'gauge',
    help: 'Connections to Postgres that a process may hold.',
    read: (readings) => byPlace(readings, ({ pool }) => pool?.max, sum),
  },
  {
    name: 'catamount_postgres_pool_waiting',
    type: 'gauge',
    help: 'Requests and jobs that wait for a connection to Postgres.',
    read: (readings) => byPlace(readings, ({ pool }) => pool?.waiting, sum),
  },
];
