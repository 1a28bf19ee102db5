import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import type { Database } from '../model/database';
import type { JobDependencies } from './enqueue/enqueue';
import { JobEnqueuer } from './enqueue/enqueuer';
import { Job } from './job';

interface JobConnections extends JobDependencies {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
}

/** Makes `performLater` work in this process. @returns a function that undoes it. */
export function connectJobs({ database, redis, events, setup, models }: JobConnections): () => void {
  const enqueuer = new JobEnqueuer(database.knex, redis.client, events);
  enqueuer.started();
  Job.connect(enqueuer, { setup, models });
  return () => Job.connect(undefined, {});
}
