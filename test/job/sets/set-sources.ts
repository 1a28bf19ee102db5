import { JobAdmin } from '../../../lib/job/admin/job-admin';
import type { FoundPlace } from '../../../lib/job/sets/find-job';
import type { JobSet } from '../../../lib/job/sets/job-set';
import type { BulkResult, JobRef, SetSources } from '../../../lib/job/sets/query';
import { listProcesses } from '../../../lib/tree/processors';
import type { JobSystem } from '../job-system';

/** The sources of the sets of a test's operator. */
export function setSources(
  { redis, database, events }: JobSystem,
  queues: readonly string[] = ['default', 'mailer'],
): SetSources {
  const processes = () => listProcesses(redis.client);
  return { processes, knex: database.knex, events, queues, via: 'cli:test' as const };
}

/** The sets of a test's operator. */
export interface Sets {
  readonly retry: JobSet;
  readonly scheduled: JobSet;
  readonly dead: JobSet;
  readonly waiting: JobSet;
  readonly blocked: JobSet;
  find(ref: JobRef): Promise<FoundPlace>;
}

export function setsOf(sources: SetSources): Sets {
  const admin = new JobAdmin(sources);
  return {
    retry: admin.set('retry'),
    scheduled: admin.set('scheduled'),
    dead: admin.set('dead'),
    waiting: admin.set('waiting'),
    blocked: admin.set('blocked'),
    find: (ref) => admin.find(ref),
  };
}

/** @returns whether a move of one job has moved it. */
export async function isMoved(move: Promise<BulkResult>): Promise<boolean> {
  return (await move).moved > 0;
}
