/** A job processor in a process of its own, which tests kill. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { JobRegistry } from '../../lib/job/job-registry';
import { JobProcessor, type Lineage, type ProcessorTuning } from '../../lib/job/processor';
import { Database } from '../../lib/model/database';
import { connectTransactions } from '../../lib/model/transaction';
import { connectJobs } from '../../lib/role/connect/connect-app';
import * as childJobs from './child-jobs';
import { TWO_QUEUES } from './job-system';

export interface ChildOptions {
  readonly lineage?: Lineage;
  readonly tuning?: ProcessorTuning;
  readonly concurrency?: number;
}

type Urls = { readonly database: string; readonly redis: string };

/** Starts a processor, which ends with its parent at the latest. */
export function startChildProcessor(urls: Urls, options: ChildOptions = {}): ChildProcess {
  return fork(__filename, [JSON.stringify({ ...urls, ...options })], { execArgv: ['--import', 'tsx'] });
}

/** Kills a process that is not over yet. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function main({ database: url, redis: redisUrl, ...options }: Urls & ChildOptions): Promise<void> {
  const { lineage, tuning = {}, concurrency = TWO_QUEUES.concurrency } = options;
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  const database = new Database(url, { production: false, events, poolMax: 6 });
  connectTransactions(database.knex);
  connectJobs({ database, redis, events });
  const processor = new JobProcessor({
    config: { jobs: { ...TWO_QUEUES, concurrency }, environment: 'test' },
    registry: new JobRegistry(Object.values(childJobs)),
    ...{ redisUrl, database, redis, events, lineage, tuning },
  });
  await redis.start();
  await processor.start();
}

if (require.main === module) {
  process.on('disconnect', () => process.exit());
  void main(JSON.parse(process.argv[2] ?? '{}') as Urls & ChildOptions);
}
