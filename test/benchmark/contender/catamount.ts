import { Events } from '../../../lib/core/events';
import { runInContext } from '../../../lib/core/execution-context';
import { Redis } from '../../../lib/core/redis';
import { connectJobs } from '../../../lib/job/connect';
import { Job } from '../../../lib/job/job';
import { JobProcessor } from '../../../lib/job/processor';
import { JobRegistry } from '../../../lib/job/registry';
import type { JobSetup } from '../../../lib/job/setup';
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

/** Dies at its first failure. */
class DyingJob extends Job<[value: number]> {
  static {
    this.retryOn(Error, { attempts: 1 });
  }

  perform(value: number): void {
    perform(value);
    throw new Error(`${value} is to die`);
  }
}

/** What an app may put around each run, at its least. */
const setup: JobSetup = { performMiddleware: [async (_run, next) => next()] };
/** What a request leaves in each of its jobs. */
const REQUEST = { requestId: '5f0c1c3e-8f3b-4a52-9a3e-2f1d0c8e7b6a', locale: 'en' };

interface ContenderOptions {
  readonly byOutbox?: boolean;
  readonly die?: boolean;
  readonly history?: boolean;
}

/** The whole job layer, wired as the processor's role wires it, with the default queues in strict order. */
export class CatamountContender implements Contender {
  private readonly events = new Events();

  private readonly job: typeof NoopJob | typeof DyingJob;
  private readonly byOutbox: boolean;
  private readonly history: boolean;

  /**
   * @param options.byOutbox whether jobs are enqueued in transactions. @param options.die whether they fail for good.
   * @param options.history whether what becomes of them is counted.
   */
  constructor(
    private readonly stores: Stores,
    { byOutbox = false, die = false, history = true }: ContenderOptions = {},
  ) {
    this.byOutbox = byOutbox;
    this.history = history;
    this.job = die ? DyingJob : NoopJob;
    const wrong = die ? /error|lost|retrying/ : /error|lost|dead|retrying/;
    this.events.onAny((name, payload) => {
      if (wrong.test(name)) process.stderr.write(`${name}: ${JSON.stringify(payload)}\n`);
    });
  }

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    perform = run;
    const { events, stores } = this;
    const { database, redis, end } = await this.connect(Math.max(3, concurrency + 1));
    const queues = ['default', 'mailer'].map((name) => ({ name, weight: 1 }));
    const processor = new JobProcessor({
      config: {
        jobs: { enabled: true, concurrency, queues, weighted: false, latencyWarningMs: 60_000 },
        environment: 'production',
      },
      redisUrl: stores.redisUrl,
      database,
      redis,
      events,
      registry: new JobRegistry([NoopJob, DyingJob]),
      setup,
      tuning: { history: this.history },
    });
    await processor.start();
    return async () => {
      await processor.stop(Deadline.after(5000));
      await end();
    };
  }

  async produce(): Promise<Producer> {
    const { end } = await this.connect(3);
    const inRequest = <T>(work: () => T) => runInContext(REQUEST, work);
    const { byOutbox, job } = this;
    const add = (value: number) => job.performLater(value);
    const addMany = (values: readonly number[]) => job.performAllLater(values.map((value) => [value]));
    return {
      add: (value) => inRequest(() => (byOutbox ? transaction(() => add(value)) : add(value))),
      addMany: (values) => inRequest(() => (byOutbox ? transaction(() => addMany(values)) : addMany(values))),
      addLater: (value, waitMs) => job.set({ wait: waitMs }).performLater(value),
      close: end,
    };
  }

  private async connect(poolMax: number) {
    const { events, stores } = this;
    const database = new Database(stores.databaseUrl, { production: false, events, poolMax });
    const redis = new Redis(stores.redisUrl, events);
    connectTransactions(database.knex);
    connectJobs({ database, redis, events, setup });
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
