import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { connectJobs } from '../../../lib/job/connect';
import { Job } from '../../../lib/job/job';
import { JobProcessor } from '../../../lib/job/processor';
import { JobRegistry } from '../../../lib/job/registry';
import { Database } from '../../../lib/model/database';
import { connectTransactions, transaction } from '../../../lib/model/transaction';
import { Deadline } from '../../../lib/support/deadline';
import type { Contender, Producer, Stop, Stores } from './contender';

let perform: (value: number) => void = () => undefined;

class NoopJob extends Job<[value: number]> {
  perform(value: number): void {
    perform(value);
  }
}

/** The whole job layer, wired as the processor's role wires it, with the default queues in strict order. */
export class CatamountContender implements Contender {
  private readonly events = new Events();

  /** @param byOutbox whether jobs are enqueued in transactions. */
  constructor(
    private readonly stores: Stores,
    private readonly byOutbox: boolean,
  ) {
    this.events.onAny((name, payload) => {
      if (/error|lost|dead|retrying/.test(name)) process.stderr.write(`${name}: ${JSON.stringify(payload)}\n`);
    });
  }

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    perform = run;
    const { events, stores } = this;
    const { database, redis, end } = await this.connect(Math.max(3, concurrency + 1));
    const queues = ['default', 'mailer'].map((name) => ({ name, weight: 1 }));
    const processor = new JobProcessor({
      config: { jobs: { enabled: true, concurrency, queues, weighted: false }, environment: 'production' },
      redisUrl: stores.redisUrl,
      database,
      redis,
      events,
      registry: new JobRegistry([NoopJob]),
    });
    await processor.start();
    return async () => {
      await processor.stop(Deadline.after(5000));
      await end();
    };
  }

  async produce(): Promise<Producer> {
    const { end } = await this.connect(3);
    const enqueue = (value: number) => NoopJob.performLater(value);
    return {
      add: this.byOutbox ? (value) => transaction(() => enqueue(value)) : enqueue,
      addMany: (values) => (this.byOutbox ? transaction(() => all(values, enqueue)) : all(values, enqueue)),
      addLater: (value, waitMs) => NoopJob.set({ wait: waitMs }).performLater(value),
      close: end,
    };
  }

  private async connect(poolMax: number) {
    const { events, stores } = this;
    const database = new Database(stores.databaseUrl, { production: false, events, poolMax });
    const redis = new Redis(stores.redisUrl, events);
    connectTransactions(database.knex);
    connectJobs({ database, redis, events });
    const ready = events.next('redis.ready');
    await redis.start();
    await ready;
    const end = async () => {
      await redis.stop(Deadline.after(1000));
      await database.stop(Deadline.after(1000));
    };
    return { database, redis, end };
  }
}

function all(values: readonly number[], enqueue: (value: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(values.map(enqueue));
}
