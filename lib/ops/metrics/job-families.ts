import { processorsOf, reported } from '../../cluster/status';
import { lastProgress } from '../../health/last-progress';
import { findStandstills } from '../../health/standstills';
import type { QueueStatus } from '../../job/row/queue-status';
import { type ClassStats, JOB_BOUNDS_MS, MAIL_OUTCOMES } from '../../job/stats/class-stats';
import { OTHER_CLASSES } from '../../job/stats/collector';
import type { Histogram } from '../../support/histogram';
import { counter, type Family, gauge, type HistogramSample, histogram, only, sample, shared } from './exposition';
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
  shared(
    counter(
      'jobs_total',
      'Runs of jobs by class and outcome, of all trees on this Postgres, since its data began.',
      (scrape) =>
        readClasses(scrape).flatMap(([className, { processed, retried, dead, discarded, cancelled, expired }]) =>
          Object.entries({ succeeded: processed, retried, dead, discarded, cancelled, expired }).map(
            ([outcome, value]) => ({
              labels: { class: className, outcome },
              value,
            }),
          ),
        ),
    ),
  ),
  shared(
    histogram(
      'job_duration_seconds',
      'Duration of runs that succeeded, by class, of all trees on this Postgres.',
      (scrape) => histograms(scrape, ({ duration }) => duration),
    ),
  ),
  shared(
    histogram(
      'job_queue_latency_seconds',
      'How long jobs waited from being due until they ran, by class, of all trees on this Postgres.',
      (scrape) => histograms(scrape, ({ latency }) => latency),
    ),
  ),
  gauge('jobs_running', 'Jobs that are running in this tree.', ({ tree }) => {
    const statuses = tree ? processorsOf(tree.stats).flatMap(({ lastStatus }) => reported(lastStatus) ?? []) : [];
    return only(statuses.length > 0 ? statuses.flatMap(({ inFlight }) => inFlight).length : undefined);
  }),
  gauge('job_concurrency_limit', 'Maximum number of jobs that run in this tree at once. 0: it runs none.', ({ tree }) =>
    only(tree?.limits.jobConcurrency),
  ),
  gauge(
    'job_processor_up',
    "Whether this tree's job processor works. Absent from trees that run no jobs.",
    ({ tree }) => only(runsJobs(tree) ? Number(isUp(tree)) : undefined),
  ),
  gauge(
    'job_standstill_seconds',
    "How long a part of this tree's jobs has stood still; of several, the longest time. 0: none stands still.",
    ({ tree }) => {
      const statuses = tree ? processorsOf(tree.stats).flatMap(({ lastStatus }) => reported(lastStatus) ?? []) : [];
      const spans = statuses.flatMap(findStandstills).map(({ spanMs }) => spanMs / 1000);
      return only(statuses.length > 0 ? Math.max(0, ...spans) : undefined);
    },
  ),
  gauge(
    'job_last_moved_timestamp_seconds',
    "When a part of this tree's jobs (fetch, dispatch, listen, cron, mail) last made progress or found nothing to do, in seconds since 1970.",
    ({ tree }) => {
      if (!tree) return [];
      const at = Date.parse(tree.at);
      return lastProgress(tree).map(({ part, movedMs }) => ({ labels: { part }, value: (at - movedMs) / 1000 }));
    },
  ),
  counter('job_processor_restarts_total', 'Number of restarts of the job processor of this tree.', ({ tree }) =>
    only(runsJobs(tree) ? tree?.stats.jobProcessor.restarts : undefined),
  ),
  shared(
    gauge('job_processors', 'Number of job processors of all trees on this Redis.', ({ processors }) =>
      only(processors),
    ),
  ),
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

export const QUEUES: readonly Family[] = [
  shared(
    gauge(
      'queue_jobs',
      'Jobs of a queue: waiting, blocked (by the limit of their class, or a priority above 0), or active. Up to 10000 are counted.',
      (scrape) =>
        named(scrape).flatMap(({ name, queues }) => [
          ...sample({ queue: name, state: 'waiting' }, sum(queues.map((queue) => queue.waiting))),
          ...sample({ queue: name, state: 'blocked' }, sum(queues.map((queue) => queue.blocked))),
          ...sample({ queue: name, state: 'active' }, sum(queues.map((queue) => queue.active))),
        ]),
    ),
  ),
  shared(
    gauge('queue_latency_seconds', 'How long the next job of a queue has been due.', (scrape) =>
      named(scrape).map(({ name, queues }) => ({
        labels: { queue: name },
        value: Math.max(...queues.map((queue) => queue.latencyMs)) / 1000,
      })),
    ),
  ),
  shared(
    gauge('queue_paused', 'Whether an operator has paused the queue.', (scrape) =>
      named(scrape).map(({ name, queues }) => ({
        labels: { queue: name },
        value: queues.some((queue) => queue.paused) ? 1 : 0,
      })),
    ),
  ),
  shared(
    gauge('job_set_jobs', 'Jobs in the retry, scheduled and dead sets. Up to 10000 are counted.', ({ sets }) =>
      Object.entries(sets).flatMap(([set, size]) => sample({ set }, size)),
    ),
  ),
];

export const MAILS: readonly Family[] = [
  shared(
    counter(
      'mails_total',
      'Mails by mailer and outcome, of all trees on this Postgres, since its data began. Every attempt counts.',
      ({ history }) =>
        [...(history?.mailers ?? [])].flatMap(([name, counts]) =>
          MAIL_OUTCOMES.map((outcome) => ({
            labels: { mailer: name === OTHER_CLASSES ? 'other' : name, outcome },
            value: counts[outcome],
          })),
        ),
    ),
  ),
];
