/** A job processor in a process of its own, which tests kill. Its jobs tell the parent when they run. */
import { type ChildProcess, fork } from 'node:child_process';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { JobProcessor, type ProcessorTuning } from '../../lib/job/processor';
import { Database } from '../../lib/model/database';
import { TWO_QUEUES } from './job-system';

export class LongJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    process.send?.(name);
    await new Promise(() => undefined);
  }
}

/** Blocks the event loop for `ms`. */
export class BlockingJob extends Job<[name: string, ms: number]> {
  perform(name: string, ms: number): void {
    process.send?.(name);
    const end = performance.now() + ms;
    while (performance.now() < end);
  }
}

/** Counts without end from the cursor of an earlier run, and sends each number. */
export class CountingJob extends Job {
  async perform(): Promise<void> {
    for (let n = (await this.resumeFrom<number>()) ?? 0; ; n++) {
      process.send?.(String(n));
      await this.checkpoint(n + 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Reports its end, too, unless its process dies first. */
export class BriefJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    process.send?.(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.send?.(`${name} ends`);
  }
}

export class PoisonJob extends Job {
  perform(): void {
    process.kill(process.pid, 'SIGKILL');
  }
}

/** Starts a doomed processor. It ends with its parent at the latest. */
export function startDoomedProcessor(
  urls: { readonly database: string; readonly redis: string },
  identity = 'doomed',
  tuning: ProcessorTuning = {},
  concurrency = TWO_QUEUES.concurrency,
): ChildProcess {
  return fork(__filename, [urls.database, urls.redis, identity, JSON.stringify(tuning)], {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, CONCURRENCY: String(concurrency) },
  });
}

if (require.main === module) {
  const [databaseUrl = '', redisUrl = '', identity = 'doomed', tuning = '{}'] = process.argv.slice(2);
  const concurrency = Number(process.env.CONCURRENCY);
  const events = new Events();
  const redis = new Redis(redisUrl, events);
  const processor = new JobProcessor({
    config: { jobs: { ...TWO_QUEUES, concurrency }, environment: 'test' },
    redisUrl,
    database: new Database(databaseUrl, { production: false, events }),
    redis,
    events,
    registry: new JobRegistry([LongJob, BriefJob, PoisonJob, BlockingJob, CountingJob]),
    lineage: { identity, dead: [] },
    tuning: JSON.parse(tuning) as ProcessorTuning,
  });
  void redis.start().then(() => processor.start());
  process.on('disconnect', () => process.exit());
}
