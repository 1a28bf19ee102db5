import { randomUUID } from 'node:crypto';
import type { Config } from '../../lib/core/config';
import { type EventMap, type EventName, Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { withRedisPrefix } from '../../lib/core/redis-settings';
import { connectAdmin } from '../../lib/job/admin/app-sources';
import type { JobClass } from '../../lib/job/definition/job-class';
import type { JobDependencies } from '../../lib/job/enqueue/connection';
import { RowEnqueuer } from '../../lib/job/enqueue/row-enqueuer';
import { Hints } from '../../lib/job/hint/hints';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import type { ThreadSource } from '../../lib/job/perform/threads';
import { JobProcessor, type Lineage, type ProcessorTuning } from '../../lib/job/processor';
import { Database } from '../../lib/model/database';
import { connectTransactions } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { listProcesses } from '../../lib/tree/processors';
import { createDatabase, type DatabaseOptions, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';
import type { Gate } from './gate';

export type JobsConfig = Config['jobs'];

export const TWO_QUEUES: JobsConfig = {
  enabled: true,
  concurrency: 2,
  queues: [
    { name: 'default', weight: 1 },
    { name: 'mailer', weight: 1 },
  ],
  weighted: false,
  latencyWarningMs: 60_000,
};

export interface SystemOptions extends DatabaseOptions {
  readonly poolMax?: number;
  readonly redisPrefix?: string | null;
}

/** Postgres, Redis and the connections of one process to both, wired as a role wires them, with processors on demand. */
export class JobSystem {
  readonly heard: { readonly name: EventName; readonly payload: EventMap[EventName] }[] = [];
  private readonly processors: JobProcessor[] = [];

  private constructor(
    readonly postgres: TestDatabase,
    readonly redisServer: TestRedis,
    private readonly redisUrl: string,
    readonly database: Database,
    readonly redis: Redis,
    readonly events: Events,
    private readonly dependencies: JobDependencies,
    private readonly hints: Hints,
  ) {
    events.onAny((name, payload) => this.heard.push({ name, payload }));
  }

  /** @param dependencies what the app has for its jobs. */
  static async start(
    dependencies: JobDependencies = {},
    { migrated = ['lib/job/migrations'], poolMax = 6, redisPrefix = null }: SystemOptions = {},
  ): Promise<JobSystem> {
    const postgres = await createDatabase({ migrated });
    // A killed Redis must keep what it has acknowledged. With `everysec` it may lose that when the disk is busy.
    const redisServer = await startTestRedis('--appendfsync', 'always');
    const events = new Events();
    const database = new Database(postgres.url, { production: false, events, poolMax });
    const redisUrl = withRedisPrefix(redisServer.url, redisPrefix);
    const redis = new Redis(redisUrl, events);
    const hints = new Hints(redis.client);
    const served = TWO_QUEUES.queues.map(({ name }) => name);
    const enqueuer = new RowEnqueuer(database.knex, hints, events, served);
    enqueuer.started();
    Job.connect(enqueuer, dependencies);
    connectAdmin({ events, queues: served, processes: () => listProcesses(redis.client) });
    const system = new JobSystem(postgres, redisServer, redisUrl, database, redis, events, dependencies, hints);
    connectTransactions(database.knex);
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    return system;
  }

  /** Of both stores, for other processes. */
  get urls() {
    return { database: this.postgres.url, redis: this.redisServer.url };
  }

  /** Starts a processor that has these classes. */
  async processor(
    classes: readonly JobClass[],
    options: {
      readonly jobs?: Partial<JobsConfig>;
      readonly tuning?: ProcessorTuning;
      readonly lineage?: Lineage;
      /** The processor's pool. Default: that of this process. */
      readonly database?: Database;
      readonly databaseDirectUrl?: string;
      readonly thread?: ThreadSource | undefined;
      /** true: it has no Redis at all. */
      readonly redisOff?: boolean;
    } = {},
  ): Promise<JobProcessor> {
    const { redis, redisUrl, events } = this;
    const { database = this.database, databaseDirectUrl, redisOff = false } = options;
    const processor = new JobProcessor({
      config: { jobs: { ...TWO_QUEUES, ...options.jobs }, environment: 'test' },
      ...(!redisOff && { redis, redisUrl }),
      databaseDirectUrl,
      database,
      events,
      registry: new JobRegistry(classes),
      lineage: options.lineage,
      thread: options.thread,
      ...(this.dependencies.setup && { setup: this.dependencies.setup }),
      ...(this.dependencies.models && { models: this.dependencies.models }),
      ...(options.tuning && { tuning: options.tuning }),
    });
    this.processors.push(processor);
    await processor.start();
    return processor;
  }

  eventsNamed<E extends EventName>(name: E): EventMap[E][] {
    return this.heard.filter((event) => event.name === name).map((event) => event.payload as EventMap[E]);
  }

  /**
   * Makes each job that ends a run and is to run later due at once, until `reset`: waits of retries are as long as minutes.
   */
  async skipWaits(): Promise<void> {
    await this.postgres.query(`
      create function skip_wait() returns trigger language plpgsql as $$
      begin
        new.run_at := clock_timestamp();
        perform pg_notify('job_queue', 'look');
        return new;
      end $$`);
    await this.postgres.query(`
      create trigger skip_wait before update on job_queue for each row
      when (old.state = 'running' and new.state = 'scheduled') execute function skip_wait()`);
  }

  /** Counts the jobs that have not ended. */
  async jobCount(): Promise<number> {
    const [row] = await this.postgres.query<{ count: number }>('select count(*)::int from job_queue');
    return row?.count ?? -1;
  }

  /** @returns the ids of dead jobs, latest death first. */
  async deadIds(): Promise<string[]> {
    const rows = await this.postgres.query<{ id: string }>('select id from job_dead order by died_at desc, id');
    return rows.map(({ id }) => id);
  }

  /** Stops processors and empties both stores. */
  async reset(): Promise<void> {
    await this.stopProcessors();
    await this.redisServer.start();
    await until('Redis is connected', () => this.redis.client.isReady);
    // It would give the next hint to a processor that has stopped, if it has not noticed yet that the connection is closed.
    const waits = async () => (await this.redis.client.info('clients')).includes('blocked_clients:0');
    await until('no stopped processor waits for a hint', waits);
    // After a reply that took long, as when the disk is busy, none is sent for a second.
    const probe = { id: randomUUID(), queue: 'probe' };
    await until('hints are sent', async () => (await this.hints.push([probe])) === 'pushed');
    await this.redis.client.flushAll();
    await this.postgres.query(
      'truncate job_queue, job_finished, job_pauses, job_rates, job_batches, job_dead, job_processes, job_cron, job_stats',
    );
    await this.postgres.query('drop function if exists skip_wait cascade');
    this.heard.length = 0;
  }

  async stopProcessors(ms = 2000): Promise<void> {
    await Promise.all(this.processors.splice(0).map((processor) => processor.stop(Deadline.after(ms))));
  }

  async stop(): Promise<void> {
    await this.stopProcessors();
    Job.connect(undefined, {});
    connectAdmin(undefined);
    connectTransactions(undefined);
    await this.redis.stop(Deadline.after(1000));
    await this.database.stop(Deadline.after(5000));
    await this.redisServer.remove();
    await this.postgres.drop();
  }
}

export interface SuiteOptions extends SystemOptions {
  /** Closed before each test, and opened after the last, so that no job outlives it. */
  readonly gate?: Gate;
  readonly dependencies?: JobDependencies;
  /** Emptied before each test. */
  readonly empty?: readonly unknown[][];
  /** Restores what else the suite needs before each test. */
  readonly reset?: () => void | Promise<void>;
}

/** The system of a suite: started before its first test, reset before each, and stopped after the last. */
export function useJobSystem({ gate, dependencies, empty = [], reset, ...options }: SuiteOptions = {}): JobSystem {
  const system = Object.create(JobSystem.prototype) as JobSystem;
  before(async () => {
    Object.assign(system, await JobSystem.start(dependencies, options));
  });
  after(async () => {
    gate?.open();
    await system.stop();
  });
  beforeEach(async () => {
    gate?.close();
    await system.reset();
    for (const list of empty) list.length = 0;
    await reset?.();
  });
  return system;
}
