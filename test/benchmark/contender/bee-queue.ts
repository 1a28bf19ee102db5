import type { Contender, Producer, Stop, Stores } from './contender';

interface BeeJob {
  readonly data: { readonly value: number };
  delayUntil(at: number): BeeJob;
  save(): Promise<BeeJob>;
}

interface BeeQueue {
  ready(): Promise<unknown>;
  createJob(data: { readonly value: number }): BeeJob;
  saveAll(jobs: readonly BeeJob[]): Promise<ReadonlyMap<BeeJob, Error>>;
  process(concurrency: number, handler: (job: BeeJob) => Promise<void>): void;
  close(ms: number): Promise<void>;
}

const Queue = require('bee-queue') as new (name: string, settings: object) => BeeQueue;

/** Plain bee-queue with all that it can do without switched off. */
export class BeeQueueContender implements Contender {
  constructor(private readonly stores: Stores) {}

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

  private queue(isWorker: boolean): BeeQueue {
    return new Queue('bench', {
      redis: { url: this.stores.redisUrl },
      isWorker,
      getEvents: false,
      sendEvents: false,
      storeJobs: false,
      removeOnSuccess: true,
      // Without it nothing delayed would ever run. It costs nothing while there is none.
      activateDelayedJobs: isWorker,
    });
  }
}
