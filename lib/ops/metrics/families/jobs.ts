import { processorsOf, told } from '../../../cluster/stats';
import type { ClassTally } from '../../../job/history/class-tally';
import { OTHER_CLASSES } from '../../../job/history/history-keys';
import { BUCKETS, type Histogram, lowerBound } from '../../../support/histogram';
import { type Family, type HistogramSample, only } from '../family';
import type { Readings } from '../readings';

/** Of the history's buckets so many are told as one. */
const JOINED = 3;
const WIDE_BUCKETS = BUCKETS / JOINED;
/** Where each but the last of them ends, ms; to four digits. */
const BOUNDS_MS = Array.from({ length: WIDE_BUCKETS - 1 }, (_, i) =>
  Number(lowerBound((i + 1) * JOINED).toPrecision(4)),
);

function classesOf({ history }: Readings): [className: string, tally: ClassTally][] {
  return [...(history?.classes ?? [])].map(([name, tally]) => [name === OTHER_CLASSES ? 'other' : name, tally]);
}

function histograms(readings: Readings, of: (tally: ClassTally) => Histogram): HistogramSample[] {
  return classesOf(readings).map(([className, tally]) => {
    const { counts, sumMs } = of(tally);
    const joined = Array.from({ length: WIDE_BUCKETS }, (_, i) =>
      counts.slice(i * JOINED, (i + 1) * JOINED).reduce((all, count) => all + count, 0),
    );
    return { labels: { class: className }, boundsMs: BOUNDS_MS, buckets: { counts: joined, sumMs } };
  });
}

export const JOBS: readonly Family[] = [
  {
    name: 'catamount_jobs_total',
    shared: true,
    type: 'counter',
    help: 'Runs of jobs by class and outcome, of all trees on this Redis, since its data began.',
    read: (readings) =>
      classesOf(readings).flatMap(([className, { processed, retried, dead, discarded }]) =>
        Object.entries({ succeeded: processed, retried, dead, discarded }).map(([outcome, value]) => ({
          labels: { class: className, outcome },
          value,
        })),
      ),
  },
  {
    name: 'catamount_job_duration_seconds',
    shared: true,
    type: 'histogram',
    help: 'How long runs that succeeded took, by class, of all trees on this Redis.',
    read: (readings) => histograms(readings, ({ duration }) => duration),
  },
  {
    name: 'catamount_job_wait_seconds',
    shared: true,
    type: 'histogram',
    help: 'How long jobs waited before each run since they could have run, by class, of all trees on this Redis.',
    read: (readings) => histograms(readings, ({ latency }) => latency),
  },
  {
    name: 'catamount_jobs_running',
    type: 'gauge',
    help: 'Jobs that run in this tree.',
    read: ({ tree }) => {
      const statuses = tree ? processorsOf(tree.stats).flatMap(({ last_status }) => told(last_status) ?? []) : [];
      return only(statuses.length > 0 ? statuses.flatMap(({ in_flight }) => in_flight).length : undefined);
    },
  },
  {
    name: 'catamount_job_slots',
    type: 'gauge',
    help: 'Jobs that may run in this tree at once. 0: it runs none.',
    read: ({ tree }) => only(tree?.limits.jobConcurrency),
  },
  {
    name: 'catamount_job_processor_up',
    type: 'gauge',
    help: "Whether this tree's job processor works. There is no such line in a tree that runs no jobs.",
    read: ({ tree }) => only(runsJobs(tree) ? Number(isUp(tree)) : undefined),
  },
  {
    name: 'catamount_job_processor_restarts_total',
    type: 'counter',
    help: 'How often the job processor of this tree was started again.',
    read: ({ tree }) => only(runsJobs(tree) ? tree?.stats.job_processor.restarts : undefined),
  },
  {
    name: 'catamount_job_processors',
    shared: true,
    type: 'gauge',
    help: 'Job processors of all trees on this Redis.',
    read: ({ processors }) => only(processors),
  },
];

function runsJobs(tree: Readings['tree']): boolean {
  return (tree?.limits.jobConcurrency ?? 0) > 0;
}

function isUp(tree: Readings['tree']): boolean {
  return tree?.stats.job_processor.state === 'ready';
}
