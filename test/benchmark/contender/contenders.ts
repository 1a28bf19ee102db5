import BeeQueue from 'bee-queue';
import { peer } from '../harness/product';
import { CatamountContender } from './catamount';

/** Addresses of the stores, which may be those of delaying proxies. */
export interface StoreUrls {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}

/** A job system to measure, in a process of its own. Its jobs carry a number and do nothing. */
export interface Contender {
  /** Runs jobs until stopped. @param run is called with each job's number. */
  work(concurrency: number, run: (value: number) => void): Promise<Stop>;
  produce(): Promise<Producer>;
}

export type Stop = () => Promise<void>;

export interface Producer {
  add(value: number): Promise<unknown>;
  /** Enqueues all values in as few calls as the system allows. */
  addMany(values: readonly number[]): Promise<unknown>;
  /** @param waitMs delay from now, ms. */
  addLater(value: number, waitMs: number): Promise<unknown>;
  close(): Promise<void>;
}

export const CONTENDERS = {
  catamount: (stores) => new CatamountContender(stores),
  'catamount, no Redis': (stores) => new CatamountContender(stores, { hints: false }),
  'catamount, dying': (stores) => new CatamountContender(stores, { die: true }),
  'bee-queue': (stores) => new BeeQueueContender(stores),
  bullmq: (stores) => new BullMqContender(stores),
  'graphile-worker': (stores) => new GraphileContender(stores),
  'pg-boss': (stores) => new PgBossContender(stores),
} as const satisfies Readonly<Record<string, (stores: StoreUrls) => Contender>>;

export type ContenderName = keyof typeof CONTENDERS;

/** Those whose first process creates its tables, which must not be measured. */
export const MAKES_TABLES: ReadonlySet<ContenderName> = new Set(['graphile-worker', 'pg-boss']);

/** Plain bee-queue with all optional features switched off. */
class BeeQueueContender implements Contender {
  constructor(private readonly stores: StoreUrls) {}

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    const queue = this.queue(true);
    await queue.ready();
    queue.process(concurrency, async (job) => run(job.data.value));
    return () => queue.close(1000);
  }

  async produce(): Promise<Producer> {
    const queue = this.queue(false);
    await queue.ready();
    return {
      add: (value) => queue.createJob({ value }).save(),
      addMany: async (values) => {
        const errors = await queue.saveAll(values.map((value) => queue.createJob({ value })));
        for (const error of errors.values()) throw error;
      },
      addLater: (value, waitMs) =>
        queue
          .createJob({ value })
          .delayUntil(Date.now() + waitMs)
          .save(),
      close: () => queue.close(1000),
    };
  }

  private queue(isWorker: boolean) {
    return new BeeQueue<{ readonly value: number }>('bench', {
      redis: { url: this.stores.redisUrl },
      isWorker,
      getEvents: false,
      sendEvents: false,
      storeJobs: false,
      removeOnSuccess: true,
      // Without this no delayed job would run. It costs nothing while there are none.
      activateDelayedJobs: isWorker,
    });
  }
}

interface BullData {
  readonly value: number;
}

interface BullOptions {
  readonly delay?: number;
}

interface BullMq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>;
    add(name: string, data: BullData, options?: BullOptions): Promise<unknown>;
    addBulk(jobs: readonly { readonly name: string; readonly data: BullData }[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    handler: (job: { readonly data: BullData }) => Promise<void>,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>;
    on(event: 'error', listener: (error: Error) => void): void;
    close(): Promise<void>;
  };
}

/** BullMQ on ioredis as in its documentation. Completed jobs are removed. */
class BullMqContender implements Contender {
  private readonly bullmq = peer<BullMq>('bullmq');
  private readonly connection: { readonly host: string; readonly port: number };

  constructor(stores: StoreUrls) {
    const { hostname, port } = new URL(stores.redisUrl);
    this.connection = { host: hostname, port: Number(port) };
  }

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    const { connection } = this;
    const options = { connection, concurrency, removeOnComplete: { count: 0 } };
    const worker = new this.bullmq.Worker('bench', async (job) => run(job.data.value), options);
    worker.on('error', (error) => process.stderr.write(`bullmq: ${error.message}\n`));
    await worker.waitUntilReady();
    return () => worker.close();
  }

  async produce(): Promise<Producer> {
    const defaultJobOptions = { removeOnComplete: true };
    const queue = new this.bullmq.Queue('bench', { connection: this.connection, defaultJobOptions });
    await queue.waitUntilReady();
    return {
      add: (value) => queue.add('noop', { value }),
      addMany: (values) => queue.addBulk(values.map((value) => ({ name: 'noop', data: { value } }))),
      addLater: (value, delay) => queue.add('noop', { value }, { delay }),
      close: () => queue.close(),
    };
  }
}

interface Added {
  readonly identifier: string;
  readonly payload: { readonly value: number };
}

interface GraphileWorker {
  run(options: object): Promise<{ stop(): Promise<void> }>;
  makeWorkerUtils(options: object): Promise<{
    migrate(): Promise<void>;
    addJob(identifier: string, payload: Added['payload'], spec?: { readonly runAt: Date }): Promise<unknown>;
    addJobs(specs: readonly Added[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
  readonly Logger: new (factory: () => () => void) => object;
}

/** Graphile Worker, which keeps jobs in Postgres, too, and uses no Redis. */
class GraphileContender implements Contender {
  private readonly graphile = peer<GraphileWorker>('graphile-worker');
  private readonly options: object;

  constructor(stores: StoreUrls) {
    // The default logger writes a line for each job.
    const logger = new this.graphile.Logger(() => () => undefined);
    this.options = { connectionString: stores.databaseUrl, logger };
  }

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    const noop = async (payload: Added['payload']) => run(payload.value);
    const runner = await this.graphile.run({
      ...this.options,
      concurrency,
      maxPoolSize: concurrency + 2,
      noHandleSignals: true,
      parsedCronItems: [],
      taskList: { noop },
    });
    return () => runner.stop();
  }

  async produce(): Promise<Producer> {
    const utils = await this.graphile.makeWorkerUtils(this.options);
    await utils.migrate();
    return {
      add: (value) => utils.addJob('noop', { value }),
      addMany: (values) => utils.addJobs(values.map((value) => ({ identifier: 'noop', payload: { value } }))),
      addLater: (value, waitMs) => utils.addJob('noop', { value }, { runAt: new Date(Date.now() + waitMs) }),
      close: () => utils.release(),
    };
  }
}

interface PgBoss {
  on(event: 'error', listener: (error: Error) => void): void;
  start(): Promise<unknown>;
  stop(options: { readonly graceful: boolean }): Promise<void>;
  createQueue(name: string): Promise<void>;
  work(
    name: string,
    options: { readonly batchSize: number; readonly pollingIntervalSeconds: number },
    handler: (jobs: readonly { readonly data: Added['payload'] }[]) => Promise<void>,
  ): Promise<string>;
  send(name: string, data: Added['payload'], options?: { readonly startAfter: Date }): Promise<string | null>;
  insert(jobs: readonly { readonly name: string; readonly data: Added['payload'] }[]): Promise<unknown>;
}

/**
 * pg-boss, which keeps jobs in Postgres, too, and polls for them: half a second is its shortest interval. It fetches a batch in each,
 * whatever the concurrency, and large ones suit it best here.
 */
class PgBossContender implements Contender {
  constructor(private readonly stores: StoreUrls) {}

  async work(_concurrency: number, run: (value: number) => void): Promise<Stop> {
    const boss = await this.start();
    await boss.work('noop', { batchSize: 1000, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      for (const { data } of jobs) run(data.value);
    });
    return () => boss.stop({ graceful: false });
  }

  async produce(): Promise<Producer> {
    const boss = await this.start();
    return {
      add: (value) => boss.send('noop', { value }),
      addMany: (values) => boss.insert(values.map((value) => ({ name: 'noop', data: { value } }))),
      addLater: (value, waitMs) => boss.send('noop', { value }, { startAfter: new Date(Date.now() + waitMs) }),
      close: () => boss.stop({ graceful: false }),
    };
  }

  private async start(): Promise<PgBoss> {
    const boss = new (peer<new (url: string) => PgBoss>('pg-boss'))(this.stores.databaseUrl);
    boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
    await boss.start();
    await boss.createQueue('noop');
    return boss;
  }
}
