import { type EventMap, type EventName, Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { loadJobs } from '../../../lib/job/job-registry';
import { JobProcessor } from '../../../lib/job/processor';
import { pauseQueue } from '../../../lib/job/row/pauses';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { type JobsConfig, TWO_QUEUES } from '../../job/job-system';
import { type StoredJob, store, storeDead, storeFinished } from '../../job/sets/stored-job';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';
import { PublishedTrees } from '../overview/published-trees';
import { OPERATOR, Visitor } from '../visitor';
import shop from './shop/app';
import { billing, imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SecretJob from './shop/jobs/secret';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import WelcomeMailJob from './shop/jobs/welcome-mail';

/** The pages of a shop: its web process, an operator who is signed in, jobs in any state, and processors on demand. */
export class ShopPages {
  readonly heard: { readonly name: EventName; readonly payload: EventMap[EventName] }[] = [];
  /** The trees that the pages list. */
  readonly trees: PublishedTrees;
  private readonly processors: JobProcessor[] = [];
  private started = 0;

  private constructor(
    readonly ops: OpsWeb,
    readonly operator: Visitor,
    readonly database: Database,
    readonly redis: Redis,
    private readonly events: Events,
  ) {
    this.trees = new PublishedTrees(ops.redis);
    events.onAny((name, payload) => this.heard.push({ name, payload }));
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<ShopPages> {
    const ops = await OpsWeb.start({ ...SIGNED, ...env }, shop);
    const operator = await Visitor.signIn(ops, OPERATOR);
    const events = new Events();
    const database = new Database(ops.database.url, { production: false, events, poolMax: 4 });
    const redis = new Redis(ops.redis.url, events);
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    return new ShopPages(ops, operator, database, redis, events);
  }

  /** Starts a job processor of the shop, which the pages list. */
  async processor(jobs: Partial<JobsConfig> = {}): Promise<JobProcessor> {
    const { database, redis, events, ops } = this;
    const identity = `shop-${++this.started}`;
    const config = { ...TWO_QUEUES, ...jobs };
    const processor = new JobProcessor({
      config: { jobs: config, environment: 'test' },
      lineage: { identity, dead: [] },
      redisUrl: ops.redis.url,
      database,
      redis,
      events,
      registry: await loadJobs(shop.jobsDir),
      tuning: { infoMs: 100 },
    });
    this.processors.push(processor);
    await processor.start();
    await this.trees.publishProcessor({ identity, limits: { jobConcurrency: config.concurrency } });
    return processor;
  }

  async stopProcessors(): Promise<void> {
    imports.close();
    await Promise.all(this.processors.splice(0).map((processor) => processor.stop(Deadline.after(2000))));
  }

  /** Stores an invoice's job that waits, or that is scheduled: with errors it is a retry. @returns its id. */
  store(state: 'ready' | 'scheduled', job: StoredJob = {}): Promise<string> {
    return store(this.database.knex, state, { class: 'SyncInvoiceJob', ...job });
  }

  /** Stores an invoice's dead job. @returns its id. */
  storeDead(job: StoredJob = {}): Promise<string> {
    return storeDead(this.database.knex, { class: 'SyncInvoiceJob', errors: ['no'], ...job });
  }

  /** Stores an invoice's finished job. @returns its id. */
  storeFinished(job: StoredJob, ending: object): Promise<string> {
    return storeFinished(this.database.knex, { class: 'SyncInvoiceJob', ...job }, ending);
  }

  /** Fills every set with at least one job, by having jobs run, fail and die. @returns the ids of the dead invoices. */
  async seed(dead = 3): Promise<string[]> {
    await this.processor();
    const ids: string[] = [];
    for (let i = 0; i < dead; i++) {
      const order = { invoice: `inv_${i}`, amount: 12_900 + i, token: 'tok_secret', email: 'ada@example.com' };
      ids.push((await SyncInvoiceJob.performLater(order)).id);
    }
    await SecretJob.performLater('sesame');
    await WelcomeMailJob.performLater(4812, 'ko');
    await WelcomeMailJob.set({ wait: '2h' }).performLater(4790, 'en');
    await until('they are dead', async () => (await this.deadIds()).length === dead + 1);
    await until('one is to be retried', () => this.eventsNamed('job.retrying').length === 1);
    await ImportRowsJob.performLater({ import: 771, from: 12_000 });
    await until('one runs', () => imports.held === 1);
    return ids;
  }

  /** The ids of the dead jobs, oldest first. */
  async deadIds(): Promise<string[]> {
    const rows = await this.ops.database.query<{ id: string }>('select id from job_dead order by died_at, id');
    return rows.map(({ id }) => id);
  }

  /** Counts the jobs that wait in a queue. */
  async waiting(queue = 'default'): Promise<number> {
    const sql = `select count(*)::int from job_queue where state = 'ready' and queue = $1`;
    return (await this.ops.database.query<{ count: number }>(sql, [queue]))[0]?.count ?? -1;
  }

  /** Pauses a queue as another operator does. */
  async pause(queue: string, by = 'test'): Promise<void> {
    await pauseQueue(this.database.knex, queue, by);
  }

  /** What operators have done, but for their sign-ins. */
  actions(): object[] {
    const done = this.ops.operated.filter(([name]) => name !== 'operator.sign-in');
    return done.map(([name, payload]) => ({ name, ...payload }));
  }

  /** Stops processors and empties both stores. */
  async reset(): Promise<void> {
    await this.stopProcessors();
    await this.ops.redis.start();
    await until('redis is connected', () => this.redis.client.isReady);
    await this.redis.client.flushAll();
    await this.ops.database.query(
      'truncate job_queue, job_finished, job_cron, job_pauses, job_batches, job_dead, job_processes, job_stats',
    );
    billing.works = false;
    for (const list of [billing.invoices, this.heard, this.ops.operated]) list.length = 0;
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

/** The pages of the shop for the tests of a suite. To be called in `describe`. */
export function useShopPages(): ShopPages {
  return inSuite('stop', () => ShopPages.start());
}
