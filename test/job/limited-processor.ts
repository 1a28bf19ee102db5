/** A processor of limited jobs in a process of its own, which a test kills. */
import { type ChildProcess, fork } from 'node:child_process';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { JobRegistry } from '../../lib/job/job-registry';
import { JobProcessor } from '../../lib/job/processor';
import { Database } from '../../lib/model/database';
import { TWO_QUEUES } from './job-system';
import { FreeJob, LimitedJob } from './limited-job';

/** Starts a processor, which ends with its parent at the latest. @param dead identity of the process whose jobs it rescues. */
export function startLimitedProcessor(
  urls: { readonly database: string; readonly redis: string },
  identity: string,
  dead = '',
): ChildProcess {
  return fork(__filename, [urls.database, urls.redis, identity, dead], { execArgv: ['--import', 'tsx'] });
}

if (require.main === module) {
  const [databaseUrl = '', redisUrl = '', identity = '', dead = ''] = process.argv.slice(2);
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  const database = new Database(databaseUrl, { production: false, events });
  LimitedJob.knex = database.knex;
  LimitedJob.processName = identity;
  const processor = new JobProcessor({
    config: { jobs: TWO_QUEUES, environment: 'test' },
    redisUrl,
    database,
    redis,
    events,
    registry: new JobRegistry([LimitedJob, FreeJob]),
    lineage: { identity, dead: dead === '' ? [] : [dead] },
  });
  void redis.start().then(() => processor.start());
  process.on('disconnect', () => process.exit());
}
