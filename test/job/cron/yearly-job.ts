/** A processor with one recurring job in a process of its own, which a test kills. */
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { JobProcessor } from '../../../lib/job/processor';
import { Database } from '../../../lib/model/database';
import { connectJobs } from '../../../lib/role/app/load-setup';
import { TWO_QUEUES } from '../job-system';

/** Due so rarely that only past ticks are enqueued. */
export class YearlyJob extends Job {
  static override cron = '@yearly';
  perform(): void {}
}

if (require.main === module) {
  const [databaseUrl = '', redisUrl = ''] = process.argv.slice(2);
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  const database = new Database(databaseUrl, { production: false, events, poolMax: 6 });
  connectJobs({ database, redis, events });
  const config = { jobs: TWO_QUEUES, environment: 'test' } as const;
  const registry = new JobRegistry([YearlyJob]);
  const processor = new JobProcessor({ config, redisUrl, database, redis, events, registry });
  void redis.start().then(() => processor.start());
  process.on('disconnect', () => process.exit());
}
