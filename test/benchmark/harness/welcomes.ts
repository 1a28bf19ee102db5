import { setTimeout as wait } from 'node:timers/promises';
import { Events } from '../../../lib/core/events';
import { RowEnqueuer } from '../../../lib/job/enqueue/row-enqueuer';
import { Hints } from '../../../lib/job/hint/hints';
import { Job } from '../../../lib/job/job';
import { connectStores } from '../contender/catamount';
import type { StoreUrls } from '../contender/contenders';
import { runChild } from './processes';
import type { Stores } from './stores';
import { runTask } from './task-process';

interface EnqueueTask {
  readonly stores: StoreUrls;
  readonly count: number;
}

const BATCH = 1000;
const DONE_MS = 600_000;
const LOOK_EVERY_MS = 200;
/** No user has this id, so no mail is sent. */
const NOBODY = '9000000000000000000';

/** Enqueues for the tree's job of the same name, which looks up its user in Postgres. */
class WelcomeEmailJob extends Job<[userId: string]> {
  static override readonly queue = 'mailer';

  perform(_userId: string): never {
    throw new Error('this process only enqueues');
  }
}

/** Enqueues welcome mails without a recipient, in a separate process: each job is one look-up. */
export async function enqueueWelcomes(stores: Stores, count: number): Promise<void> {
  await runChild<number>(__filename, { stores: await stores.urls(0), count } satisfies EnqueueTask);
}

/** Resolves when all jobs are done. */
export async function jobsDone(stores: Stores): Promise<void> {
  const end = performance.now() + DONE_MS;
  for (;;) {
    const left = await stores.jobCount();
    if (left === 0) return;
    if (performance.now() > end) throw new Error(`${left} jobs were left`);
    await wait(LOOK_EVERY_MS);
  }
}

async function enqueue({ stores, count }: EnqueueTask): Promise<number> {
  const events = new Events();
  const { database, redis, end } = await connectStores(stores, events, 1);
  Job.connect(new RowEnqueuer(database.knex, redis && new Hints(redis.client), events), {});
  for (let left = count; left > 0; left -= BATCH) {
    const jobs = Array.from({ length: Math.min(BATCH, left) }, (): [string] => [NOBODY]);
    await WelcomeEmailJob.performAllLater(jobs);
  }
  await end();
  return count;
}

if (require.main === module) runTask(enqueue);
