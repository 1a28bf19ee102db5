import type { Contender, Producer, Stop, Stores } from './contender';
import { peer } from './peer';

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

/** BullMQ on ioredis, as its documentation has it, keeping nothing of completed jobs. */
export class BullMqContender implements Contender {
  private readonly bullmq = peer<BullMq>('bullmq');
  private readonly connection: { readonly host: string; readonly port: number };

  constructor(stores: Stores) {
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
