/** A processor in a process of its own, to be killed. Its jobs tell the parent that they run. */
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Job } from '../../lib/job/job';
import { JobProcessor } from '../../lib/job/processor';
import { JobRegistry } from '../../lib/job/registry';
import { Database } from '../../lib/model/database';
import { TWO_QUEUES } from './job-system';

export class LongJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    process.send?.(name);
    await new Promise(() => undefined);
  }
}

export class PoisonJob extends Job {
  perform(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}

if (require.main === module) {
  const [databaseUrl = '', redisUrl = '', identity = 'doomed'] = process.argv.slice(2);
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  const processor = new JobProcessor({
    config: { jobs: TWO_QUEUES, environment: 'test' },
    redisUrl,
    database: new Database(databaseUrl, { production: false, events }),
    redis,
    events,
    registry: new JobRegistry([LongJob, PoisonJob]),
    lineage: { identity, dead: [] },
    tuning: { stallInterval: 400 },
  });
  void redis.start().then(() => processor.start());
  process.on('disconnect', () => process.exit());
}
