import { processorsOf, reported } from '../../cluster/status';
import { lastProgress } from '../../health/last-progress';
import { findStandstills } from '../../health/standstills';
import type { QueueStatus } from '../../job/row/queue-status';
import { type ClassStats, JOB_BOUNDS_MS, MAIL_OUTCOMES } from '../../job/stats/class-stats';
import { OTHER_CLASSES } from '../../job/stats/collector';
import type { Histogram } from '../../support/histogram';
import { type Family, type HistogramSample, only, sample } from './exposition';
import type { Scrape } from './scrape';

/** Number of the history's fine buckets that are joined into one, which keeps the count of series low. */
const JOINED = 3;
/** Upper bounds of all buckets but the last, ms, to four digits. */
const BOUNDS_MS = JOB_BOUNDS_MS.filter((_, i) => i % JOINED === JOINED - 1).map((ms) => Number(ms.toPrecision(4)));

function readClasses({ history }: Scrape): [className: string, stats: ClassStats][] {
  return [...(history?.classes ?? [])].map(([name, stats]) => [name === OTHER_CLASSES ? 'other' : name, stats]);
}

function histograms(scrape: Scrape, of: (stats: ClassStats) => Histogram): HistogramSample[] {
  return readClasses(scrape).map(([className, stats]) => {
    const { counts, sumMs } = of(stats);
    const joined = Array.from({ length: BOUNDS_MS.length + 1 }, (_, i) =>
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
    read: (scrape) =>
      readClasses(scrape).flatMap(([className, { processed, retried, dead, discarded }]) =>
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
    help: 'Duration of runs that succeeded, by class, of all trees on this Redis.',
    read: (scrape) => histograms(scrape, ({ duration }) => duration),
  },
  {
    name: 'catamount_job_queue_latency_seconds',
    shared: true,
    type: 'histogram',
    help: 'How long jobs waited from being due until they ran, by class, of all trees on this Redis.',
    read: (scrape) => histograms(scrape, ({ latency }) => latency),
  },
  {
    name: 'catamount_jobs_running',
    type: 'gauge',
    help: 'Jobs that are running in this tree.',
    read: ({ tree }) => {
      const statuses = tree ? processorsOf(tree.stats).flatMap(({ lastStatus }) => reported(lastStatus) ?? []) : [];
      return only(statuses.length > 0 ? statuses.flatMap(({ inFlight }) => inFlight).length : undefined);
    },
  },
  {
    name: 'catamount_job_concurrency_limit',
    type: 'gauge',
    help: 'Maximum number of jobs that run in this tree at once. 0: it runs none.',
    read: ({ tree }) => only(tree?.limits.jobConcurrency),
  },
  {
    name: 'catamount_job_processor_up',
    type: 'gauge',
    help: "Whether this tree's job processor works. Absent from trees that run no jobs.",
    read: ({ tree }) => only(runsJobs(tree) ? Number(isUp(tree)) : undefined),
  },
  {
    name: 'catamount_job_standstill_seconds',
    type: 'gauge',
    help: "How long a part of this tree's jobs has stood still; of several, the longest time. 0: none stands still.",
    read: ({ tree }) => {
      const statuses = tree ? processorsOf(tree.stats).flatMap(({ lastStatus }) => reported(lastStatus) ?? []) : [];
      const spans = statuses.flatMap(findStandstills).map(({ spanMs }) => spanMs / 1000);
      return only(statuses.length > 0 ? Math.max(0, ...spans) : undefined);
    },
  },
  {
    name: 'catamount_job_last_moved_timestamp_seconds',
    type: 'gauge',
    help: "When a part of this tree's jobs (fetch, dispatch, listen, cron, mail) last made progress or found nothing to do, in seconds since 1970.",
    read: ({ tree }) => {
      if (!tree) return [];
      const at = Date.parse(tree.at);
      return lastProgress(tree).map(({ part, movedMs }) => ({ labels: { part }, value: (at - movedMs) / 1000 }));
    },
  },
  {
    name: 'catamount_job_processor_restarts_total',
    type: 'counter',
    help: 'Number of restarts of the job processor of this tree.',
    read: ({ tree }) => only(runsJobs(tree) ? tree?.stats.jobProcessor.restarts : undefined),
  },
  {
    name: 'catamount_job_processors',
    shared: true,
    type: 'gauge',
    help: 'Number of job processors of all trees on this Redis.',
    read: ({ processors }) => only(processors),
  },
];

function runsJobs(tree: Scrape['tree']): boolean {
  return (tree?.limits.jobConcurrency ?? 0) > 0;
}

function isUp(tree: Scrape['tree']): boolean {
  return tree?.stats.jobProcessor.state === 'ready';
}

/** Maximum number of queues with series of their own: jobs may be enqueued on queues of any name. */
const MAX_QUEUES = 100;

interface NamedQueue {
  readonly name: string;
  readonly queues: readonly QueueStatus[];
}

/** The first queues by name, and all others together as `other`. */
function named({ queues = [] }: Scrape): NamedQueue[] {
  const perQueue = queues.slice(0, MAX_QUEUES).map((queue) => ({ name: queue.name, queues: [queue] }));
  const others = queues.slice(MAX_QUEUES);
  return others.length === 0 ? perQueue : [...perQueue, { name: 'other', queues: others }];
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

/** Shared by all trees on this Redis and Postgres. */
export const QUEUES: readonly Family[] = [
  {
    name: 'catamount_queue_jobs',
    shared: true,
    type: 'gauge',
    help: 'Jobs of a queue: waiting, blocked (by the limit of their class), or active. Up to 10000 are counted.',
    read: (scrape) =>
      named(scrape).flatMap(({ name, queues }) => [
        ...sample({ queue: name, state: 'waiting' }, sum(queues.map((queue) => queue.waiting))),
        ...sample({ queue: name, state: 'blocked' }, sum(queues.map((queue) => queue.blocked))),
        ...sample({ queue: name, state: 'active' }, sum(queues.map((queue) => queue.active))),
      ]),
  },
  {
    name: 'catamount_queue_latency_seconds',
    shared: true,
    type: 'gauge',
    help: 'How long the next job of a queue has been due.',
    read: (scrape) =>
      named(scrape).map(({ name, queues }) => ({
        labels: { queue: name },
        value: Math.max(...queues.map((queue) => queue.latencyMs)) / 1000,
      })),
  },
  {
    name: 'catamount_queue_paused',
    shared: true,
    type: 'gauge',
    help: 'Whether an operator has paused the queue.',
    read: (scrape) =>
      named(scrape).map(({ name, queues }) => ({
        labels: { queue: name },
        value: queues.some((queue) => queue.paused) ? 1 : 0,
      })),
  },
  {
    name: 'catamount_job_set_jobs',
    shared: true,
    type: 'gauge',
    help: 'Jobs in the retry, scheduled and dead sets. Up to 10000 are counted.',
    read: ({ sets }) => Object.entries(sets).flatMap(([set, size]) => sample({ set }, size)),
  },
];

export const MAILS: readonly Family[] = [
  {
    name: 'catamount_mails_total',
    shared: true,
    type: 'counter',
    help: 'Mails by mailer and outcome, of all trees on this Redis, since its data began. Every attempt counts.',
    read: ({ history }) =>
      [...(history?.mailers ?? [])].flatMap(([name, counts]) =>
        MAIL_OUTCOMES.map((outcome) => ({
          labels: { mailer: name === OTHER_CLASSES ? 'other' : name, outcome },
          value: counts[outcome],
        })),
      ),
  },
];
