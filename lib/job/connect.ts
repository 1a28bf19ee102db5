import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import type { Database } from '../model/database';
import { JobEnqueuer } from './enqueue/enqueuer';
import { Job } from './job';

export interface JobConnections {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
}

/** From now on `performLater` works in this process. @returns a function that takes it back. */
export function connectJobs({ database, redis, events }: JobConnections): () => void {
  Job.connect(new JobEnqueuer(database.knex, redis.client, events));
  return () => Job.connect(undefined);
}
