import type { SetSources } from '../../../lib/job/sets/query';
import type { JobSystem } from '../job-system';

/** What the sets of a test's operator are read from. */
export function setSources(
  { redis, database, events }: JobSystem,
  queues: readonly string[] = ['default', 'mailer'],
): SetSources {
  return { redis: redis.client, knex: database.knex, events, queues, via: 'test' };
}
