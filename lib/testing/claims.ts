import type { EnqueueRequest } from '../job/definition/job-class';
import { compileOptions } from '../job/definition/options';
import type { JobLog, LoggedJob } from './job-log';

/** Who has the keys of unique jobs, and how long the jobs of a throttled class wait, as the rows of real jobs say it. */
export class Claims {
  constructor(private readonly jobLog: JobLog) {}

  holderOf({ unique }: EnqueueRequest): LoggedJob | undefined {
    if (!unique) return undefined;
    for (const entry of this.jobLog.all) {
      const { holdsUntil, request } = entry;
      if (holdsUntil === undefined || request.unique?.key !== unique.key) continue;
      if (unique.onConflict === 'replace' || holdsUntil > Date.now()) return entry;
      entry.holdsUntil = undefined;
    }
    return undefined;
  }

  /**
   * Gives a unique job its key.
   * @param replaced the job that leaves for it: it is postponed no longer than that one would have been.
   */
  give(entry: LoggedJob, replaced: LoggedJob | undefined): void {
    const { unique, runAt } = entry.request;
    if (!unique) return;
    const endsAt = unique.ttlMs === null ? Number.POSITIVE_INFINITY : entry.dueAt + unique.ttlMs;
    const first = replaced?.runs === 0 && unique.ttlMs !== null ? replaced.holdsUntil : undefined;
    entry.holdsUntil = Math.min(endsAt, first ?? endsAt);
    if (runAt) entry.dueAt = Math.min(entry.dueAt, entry.holdsUntil);
  }

  /** The time before which a job may not begin, since its class throttles; ms since 1970. */
  throttledUntil({ jobClass, limitKey }: EnqueueRequest): number {
    const gapMs = compileOptions(jobClass).unique?.limit?.gapMs;
    if (!gapMs) return Number.NEGATIVE_INFINITY;
    const ofKey = this.jobLog.all.filter(({ request }) => request.limitKey === limitKey);
    return Math.max(...ofKey.map(({ begunAt }) => begunAt)) + gapMs;
  }
}
