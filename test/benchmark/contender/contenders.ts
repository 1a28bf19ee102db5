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
  'catamount, holding': (stores) => new CatamountContender(stores, { hold: true }),
  'bee-queue': beeQueue,
  bullmq: bullMq,
  'graphile-worker': graphileWorker,
  'pg-boss': pgBoss,
} as const satisfies Readonly<Record<string, (stores: StoreUrls) => Contender>>;

export type ContenderName = keyof typeof CONTENDERS;

/** Those whose first process creates its tables, which must not be measured. */
export const MAKES_TABLES: ReadonlySet<ContenderName> = new Set(['graphile-worker', 'pg-boss']);

interface Data {
  readonly value: number;
}

/** Plain bee-queue with all optional features switched off. */
function beeQueue({ redisUrl }: StoreUrls): Contender {
  const open = async (isWorker: boolean) => {
    const queue = new BeeQueue<Data>('bench', {
      redis: { url: redisUrl },
      isWorker,
      getEvents: false,
      sendEvents: false,
      storeJobs: false,
      removeOnSuccess: true,
      // Without this no delayed job would run. It costs nothing while there are none.
      activateDelayedJobs: isWorker,
    });
    await queue.ready();
    return queue;
  };
  return {
    async work(concurrency, run) {
      const queue = await open(true);
      queue.process(concurrency, async (job) => run(job.data.value));
      return () => queue.close(1000);
    },
    async produce() {
      const queue = await open(false);
      const job = (value: number) => queue.createJob({ value });
      return {
        add: (value) => job(value).save(),
        async addMany(values) {
          const errors = await queue.saveAll(values.map(job));
          for (const error of errors.values()) throw error;
        },
        addLater: (value, waitMs) =>
          job(value)
            .delayUntil(Date.now() + waitMs)
            .save(),
        close: () => queue.close(1000),
      };
    },
  };
}

interface BullMq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>;
    add(name: string, data: Data, options?: { readonly delay?: number }): Promise<unknown>;
    addBulk(jobs: readonly { readonly name: string; readonly data: Data }[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    handler: (job: { readonly data: Data }) => Promise<void>,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>;
    on(event: 'error', listener: (error: Error) => void): void;
    close(): Promise<void>;
  };
}

/** BullMQ on ioredis as in its documentation. Completed jobs are removed. */
function bullMq({ redisUrl }: StoreUrls): Contender {
  const { Queue, Worker } = peer<BullMq>('bullmq');
  const { hostname: host, port } = new URL(redisUrl);
  const connection = { host, port: Number(port) };
  return {
    async work(concurrency, run) {
      const options = { connection, concurrency, removeOnComplete: { count: 0 } };
      const worker = new Worker('bench', async (job) => run(job.data.value), options);
      worker.on('error', (error) => process.stderr.write(`bullmq: ${error.message}\n`));
      await worker.waitUntilReady();
      return () => worker.close();
    },
    async produce() {
      const queue = new Queue('bench', { connection, defaultJobOptions: { removeOnComplete: true } });
      await queue.waitUntilReady();
      return {
        add: (value) => queue.add('noop', { value }),
        addMany: (values) => queue.addBulk(values.map((value) => ({ name: 'noop', data: { value } }))),
        addLater: (value, delay) => queue.add('noop', { value }, { delay }),
        close: () => queue.close(),
      };
    },
  };
}

interface GraphileWorker {
  run(options: object): Promise<{ stop(): Promise<void> }>;
  makeWorkerUtils(options: object): Promise<{
    migrate(): Promise<void>;
    addJob(identifier: string, payload: Data, spec?: { readonly runAt: Date }): Promise<unknown>;
    addJobs(specs: readonly { readonly identifier: string; readonly payload: Data }[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
  readonly Logger: new (factory: () => () => void) => object;
}

/** Graphile Worker, which keeps jobs in Postgres, too, and uses no Redis. */
function graphileWorker({ databaseUrl: connectionString }: StoreUrls): Contender {
  const graphile = peer<GraphileWorker>('graphile-worker');
  // The default logger writes a line for each job.
  const options = { connectionString, logger: new graphile.Logger(() => () => undefined) };
  return {
    async work(concurrency, run) {
      const taskList = { noop: async ({ value }: Data) => run(value) };
      const limits = { concurrency, maxPoolSize: concurrency + 2 };
      const runner = await graphile.run({
        ...options,
        ...limits,
        taskList,
        noHandleSignals: true,
        parsedCronItems: [],
      });
      return () => runner.stop();
    },
    async produce() {
      const utils = await graphile.makeWorkerUtils(options);
      await utils.migrate();
      return {
        add: (value) => utils.addJob('noop', { value }),
        addMany: (values) => utils.addJobs(values.map((value) => ({ identifier: 'noop', payload: { value } }))),
        addLater: (value, waitMs) => utils.addJob('noop', { value }, { runAt: new Date(Date.now() + waitMs) }),
        close: () => utils.release(),
      };
    },
  };
}

interface PgBoss {
  on(event: 'error', listener: (error: Error) => void): void;
  start(): Promise<unknown>;
  stop(options: { readonly graceful: boolean }): Promise<void>;
  createQueue(name: string): Promise<void>;
  work(
    name: string,
    options: { readonly batchSize: number; readonly pollingIntervalSeconds: number },
    handler: (jobs: readonly { readonly data: Data }[]) => Promise<void>,
  ): Promise<string>;
  send(name: string, data: Data, options?: { readonly startAfter: Date }): Promise<string | null>;
  insert(jobs: readonly { readonly name: string; readonly data: Data }[]): Promise<unknown>;
}

/**
 * pg-boss, which keeps jobs in Postgres, too, and polls for them: half a second is its shortest interval. It fetches a batch
 * in each, whatever the concurrency, and large ones suit it best here.
 */
function pgBoss({ databaseUrl }: StoreUrls): Contender {
  const start = async (): Promise<PgBoss> => {
    const boss = new (peer<new (url: string) => PgBoss>('pg-boss'))(databaseUrl);
    boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
    await boss.start();
    await boss.createQueue('noop');
    return boss;
  };
  return {
    async work(_concurrency, run) {
      const boss = await start();
      await boss.work('noop', { batchSize: 1000, pollingIntervalSeconds: 0.5 }, async (jobs) => {
        for (const { data } of jobs) run(data.value);
      });
      return () => boss.stop({ graceful: false });
    },
    async produce() {
      const boss = await start();
      return {
        add: (value) => boss.send('noop', { value }),
        addMany: (values) => boss.insert(values.map((value) => ({ name: 'noop', data: { value } }))),
        addLater: (value, waitMs) => boss.send('noop', { value }, { startAfter: new Date(Date.now() + waitMs) }),
        close: () => boss.stop({ graceful: false }),
      };
    },
  };
}
