import { JobAdmin } from '../../../lib/job/admin/job-admin';
import { DeadSet } from '../../../lib/job/sets/dead-set';
import type { FoundPlace } from '../../../lib/job/sets/find-job';
import type { BulkResult, JobRef, SetSources } from '../../../lib/job/sets/query';
import { RetrySet } from '../../../lib/job/sets/redis-set';
import { ScheduledSet } from '../../../lib/job/sets/scheduled-set';
import type { WaitingList } from '../../../lib/job/sets/waiting-set';
import type { JobSystem } from '../job-system';

/** The sources of the sets of a test's operator. */
export function setSources(
  { redis, database, events }: JobSystem,
  queues: readonly string[] = ['default', 'mailer'],
): SetSources {
  return { redis: redis.client, knex: database.knex, events, queues, via: 'cli:test' as const };
}

/** The sets of a test's operator. */
export interface Sets {
  readonly retry: RetrySet;
  readonly scheduled: ScheduledSet;
  readonly dead: DeadSet;
  waiting(queue: string): WaitingList;
  find(ref: JobRef): Promise<FoundPlace>;
}

export function setsOf(sources: SetSources): Sets {
  const admin = new JobAdmin(sources);
  return {
    retry: new RetrySet(sources),
    scheduled: new ScheduledSet(sources),
    dead: new DeadSet(sources),
    waiting: (queue) => admin.waiting(queue),
    find: (ref) => admin.find(ref),
  };
}

/** @returns whether a move of one job has moved it. */
export async function isMoved(move: Promise<BulkResult>): Promise<boolean> {
  return (await move).moved > 0;
}
