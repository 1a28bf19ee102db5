/** A job processor whose jobs all die, in a process of its own, which a test kills. */
import { type ChildProcess, fork } from 'node:child_process';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { KillJob } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { JobProcessor, type Lineage } from '../../lib/job/processor';
import { Database } from '../../lib/model/database';
import { TWO_QUEUES } from './job-system';

const CONCURRENCY = 8;

export class HopelessJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    await this.checkpoint(n);
    throw new KillJob(`no hope for ${n}`);
  }
}

export interface DyingProcessorOptions {
  readonly database: string;
  readonly redis: string;
  readonly lineage: Lineage;
}

/** Starts a dying processor. It ends with its parent at the latest. */
export function startDyingProcessor(options: DyingProcessorOptions): ChildProcess {
  return fork(__filename, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
}

async function main(options: DyingProcessorOptions): Promise<void> {
  const events = new Events();
  const redis = new Redis(options.redis, events);
  const processor = new JobProcessor({
    config: { jobs: { ...TWO_QUEUES, concurrency: CONCURRENCY }, environment: 'test' },
    redisUrl: options.redis,
    database: new Database(options.database, { production: false, events }),
    redis,
    events,
    registry: new JobRegistry([HopelessJob]),
    lineage: options.lineage,
    tuning: { dispatch: { lookMs: 100, upkeepMs: 1000 } },
  });
  await redis.start();
  await processor.start();
}

if (require.main === module) {
  process.on('disconnect', () => process.exit());
  void main(JSON.parse(process.argv[2] ?? '{}') as DyingProcessorOptions);
}
