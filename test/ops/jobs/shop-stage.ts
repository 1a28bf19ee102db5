import { type EventMap, type EventName, Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { loadJobs } from '../../../lib/job/job-registry';
import { JobProcessor } from '../../../lib/job/processor';
import { pauseQueue } from '../../../lib/job/row/pauses';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/async';
import { type JobsConfig, TWO_QUEUES } from '../../job/job-system';
import { until } from '../../support/until';
import { OpsWeb } from '../ops-web';
import shop from './shop/app';
import { billing, imports } from './shop/billing';

/** The shop's web process with its operator's pages, and job processors on demand. */
export class ShopStage {
  readonly heard: { readonly name: EventName; readonly payload: EventMap[EventName] }[] = [];
  private readonly processors: JobProcessor[] = [];

  private constructor(
    readonly ops: OpsWeb,
    readonly database: Database,
    readonly redis: Redis,
    private readonly events: Events,
  ) {
    events.onAny((name, payload) => this.heard.push({ name, payload }));
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<ShopStage> {
    const ops = await OpsWeb.start(env, shop);
    const events = new Events();
    const database = new Database(ops.database.url, { production: false, events, poolMax: 4 });
    const redis = new Redis(ops.redis.url, events);
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    return new ShopStage(ops, database, redis, events);
  }

  /** Starts a job processor of the shop. */
  async processor(jobs: Partial<JobsConfig> = {}): Promise<JobProcessor> {
    const { database, redis, events, ops } = this;
    const processor = new JobProcessor({
      config: { jobs: { ...TWO_QUEUES, ...jobs }, environment: 'test' },
      redisUrl: ops.redis.url,
      database,
      redis,
      events,
      registry: await loadJobs(shop.jobsDir),
      app: shop.name,
      tuning: { infoMs: 100 },
    });
    this.processors.push(processor);
    await processor.start();
    return processor;
  }

  async stopProcessors(): Promise<void> {
    imports.close();
    await Promise.all(this.processors.splice(0).map((processor) => processor.stop(Deadline.after(2000))));
  }

  /** The ids of the dead jobs, oldest first. */
  async deadIds(): Promise<string[]> {
    const rows = await this.ops.database.query<{ id: string }>('select id from job_dead order by died_at, id');
    return rows.map(({ id }) => id);
  }

  /** Counts the jobs that wait in a queue. */
  async waiting(queue: string): Promise<number> {
    const [row] = await this.ops.database.query<{ count: number }>(
      `select count(*)::int from job_queue where state = 'ready' and queue = $1`,
      [queue],
    );
    return row?.count ?? -1;
  }

  /** Pauses a queue as another operator does. */
  async pause(queue: string, by = 'test'): Promise<void> {
    await pauseQueue(this.database.knex, queue, by);
  }

  /** Stops processors and empties both stores. */
  async reset(): Promise<void> {
    await this.stopProcessors();
    await this.ops.redis.start();
    await until('redis is connected', () => this.redis.client.isReady);
    await this.redis.client.flushAll();
    await this.ops.database.query('truncate job_queue, job_cron, job_pauses, job_dead, job_processes, job_stats');
    billing.works = false;
    billing.invoices.length = 0;
    this.heard.length = 0;
  }

  async stop(): Promise<void> {
    await this.stopProcessors();
    await this.redis.stop(Deadline.after(1000));
    await this.database.stop(Deadline.after(5000));
    await this.ops.stop();
  }

  eventsNamed<E extends EventName>(name: E): EventMap[E][] {
    return this.heard.filter((event) => event.name === name).map((event) => event.payload as EventMap[E]);
  }
}
