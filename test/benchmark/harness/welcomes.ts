import { setTimeout as wait } from 'node:timers/promises';
import { Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { connectJobs } from '../../../lib/role/load-setup';
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
const QUEUES = ['default', 'mailer'];
/** No user has this id, so no mail is sent. */
const NOBODY = '9000000000000000000';

/** Enqueues for the tree's job of the same name, which looks up its user in Postgres. */
class WelcomeEmailJob extends Job<[userId: string]> {
  static override readonly queue = 'mailer';

  perform(_userId: string): never {
    throw new Error('this process only enqueues');
  }
}

/** Enqueues welcome mails without a recipient straight into Redis, in a separate process: each job is one look-up. */
export async function enqueueWelcomes(stores: Stores, count: number): Promise<void> {
  await runChild<number>(__filename, { stores: await stores.urls(0), count } satisfies EnqueueTask);
}

/** Resolves when all jobs in the outbox and in Redis are done. @returns how many there were at first. */
export async function jobsDone(stores: Stores, lookEveryMs = 200): Promise<number> {
  const end = performance.now() + DONE_MS;
  const lists = QUEUES.flatMap((queue) => [`bq:${queue}:waiting`, `bq:${queue}:active`]);
  let first: number | undefined;
  for (;;) {
    const rows = await stores.jobCount();
    const lengths = await Promise.all(lists.map((list) => stores.client.lLen(list)));
    const left = Math.max(
      rows,
      lengths.reduce((sum, length) => sum + length, 0),
    );
    first ??= left;
    if (left === 0) return first;
    if (performance.now() > end) throw new Error(`jobs were left: ${rows} rows, lists of ${lengths.join(', ')}`);
    await wait(lookEveryMs);
  }
}

async function enqueue({ stores, count }: EnqueueTask): Promise<number> {
  const events = new Events();
  const { end, ...connections } = await connectStores(stores, events, 1);
  connectJobs({ ...connections, events, setup: {} });
  for (let left = count; left > 0; left -= BATCH) {
    const jobs = Array.from({ length: Math.min(BATCH, left) }, (): [string] => [NOBODY]);
    await WelcomeEmailJob.performAllLater(jobs);
  }
  await end();
  return count;
}

if (require.main === module) runTask(enqueue);
