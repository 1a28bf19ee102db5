import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { connectJobs } from '../../../lib/job/connect';
import { Job } from '../../../lib/job/job';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import type { Stores } from '../contender/contender';

/** What a tree knows under this name: it looks for its user in Postgres. */
class WelcomeEmailJob extends Job<[userId: string]> {
  static override readonly queue = 'mailer';

  perform(_userId: string): never {
    throw new Error('this process only enqueues');
  }
}

export interface EnqueueTask {
  readonly stores: Stores;
  readonly count: number;
}

const BATCH = 1000;
/** No user has this id, so that nobody is mailed. */
const NOBODY = '9000000000000000000';

/** Enqueues so many welcomes of nobody into Redis. */
async function main(): Promise<void> {
  const { stores, count } = JSON.parse(process.argv[2] ?? '{}') as EnqueueTask;
  const events = new Events();
  const database = new Database(stores.databaseUrl, { production: false, events, poolMax: 1 });
  const redis = new Redis(stores.redisUrl, events);
  const ready = events.next('redis.ready');
  await redis.start();
  await ready;
  connectJobs({ database, redis, events, setup: {} });
  for (let left = count; left > 0; left -= BATCH) {
    const jobs = Array.from({ length: Math.min(BATCH, left) }, (): [string] => [NOBODY]);
    await WelcomeEmailJob.performAllLater(jobs);
  }
  await redis.stop(Deadline.after(1000));
  await database.stop(Deadline.after(1000));
  await new Promise((told) => process.send?.(count, told));
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  },
);
