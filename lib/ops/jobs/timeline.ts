import type { ListedProcess } from '../../job/processes/process-list';
import type { FoundPlace } from '../../job/sets/find-job';
import type { IconName } from '../ui/layout';
import type { JobView, ShownFailure } from './job-view';

/** A past or future event of a job. The texts are `jobs.job.event.<what>`. */
export interface JobEvent {
  readonly what: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly state: 'ok' | 'busy' | 'warn' | 'bad' | 'unknown';
  readonly icon: IconName;
  /** undefined: it is not known. */
  readonly at: Date | undefined;
  readonly failure?: ShownFailure;
}

export interface TimelineParts {
  readonly job: JobView;
  readonly failures: readonly ShownFailure[];
  readonly place: FoundPlace;
  /** The processor that runs it; undefined also if that is not listed. */
  readonly processor: ListedProcess | undefined;
}

/** All known events of a job, the newest first. */
export function timeline(parts: TimelineParts): JobEvent[] {
  const { job, failures } = parts;
  const events = [...latest(parts), ...failures.map((failure, index) => failed(job, failure, index))];
  // The record keeps only the latest errors, so earlier runs are summed up in one event.
  const oldest = attemptNumber(job, failures, failures.length - 1);
  if (failures.length > 0 && oldest > 1) {
    events.push({ what: 'earlier', values: { count: oldest - 1 }, state: 'unknown', icon: 'more', at: undefined });
  }
  const { requestId } = job.context;
  events.push({ what: 'enqueued', values: { requestId }, state: 'ok', icon: 'ok', at: job.enqueuedAt });
  return events;
}

/** The job's current state as an event; none for a dead job whose last failed run already is one. */
function latest({ job, place, failures, processor }: TimelineParts): JobEvent[] {
  const next = { count: job.attempts + 1 };
  const event = (what: string, state: JobEvent['state'], icon: IconName, at = job.at, values: object = next) => [
    { what, values: { ...values }, state, icon, at },
  ];
  switch (place.place) {
    case 'dead':
      if (job.killed) return event('killed', 'bad', 'bad');
      return failures.length === 0 ? event('died', 'bad', 'bad') : [];
    case 'finished': {
      const { attempt = job.attempts + 1, ms, host, pid } = place.ending?.run ?? {};
      return event('finished', 'ok', 'ok', job.at, { count: attempt, ms: ms ?? 0, host, pid });
    }
    case 'retry':
      return event('next', 'unknown', 'restart');
    case 'scheduled':
      return event('due', 'unknown', 'more');
    case 'waiting':
      return event('waiting', 'unknown', 'more', job.at, { count: place.ahead ?? 0, queue: job.queue });
    case 'blocked':
      return event(blockedBy(job, place.held), 'unknown', 'more', job.at, {
        ...place.held,
        until: place.held?.usedUntil?.toISOString(),
        queue: job.queue,
      });
    case 'active': {
      const { host, pid } = processor ?? {};
      return event(processor ? 'running' : 'fetched', 'busy', 'deploy', job.at, { ...next, host, pid });
    }
    default:
      return [];
  }
}

/** A class whose arguments are not shown has keys that are not shown either. */
function blockedBy(job: JobView, held: FoundPlace['held']): string {
  if (!held) return job.priority > 0 ? 'blockedByPriority' : 'blocked';
  if (held.usedUntil) return 'blockedByRate';
  return held.key === undefined || job.args === null ? 'blockedByClass' : 'blockedByKey';
}

function failed(job: JobView, failure: ShownFailure, index: number): JobEvent {
  const { run } = failure;
  const died = index === 0 && job.set === 'dead' && !job.killed;
  return {
    what: died ? 'diedOf' : 'failed',
    values: {
      count: run?.attempt ?? Math.max(1, job.attempts - index),
      ms: run?.ms ?? null,
      host: run?.host,
      pid: run?.pid,
    },
    state: died ? 'bad' : 'warn',
    icon: died ? 'bad' : 'warn',
    at: run ? new Date(run.at) : died ? job.at : undefined,
    failure,
  };
}

function attemptNumber(job: JobView, failures: readonly ShownFailure[], index: number): number {
  return failures[index]?.run?.attempt ?? job.attempts - index;
}
