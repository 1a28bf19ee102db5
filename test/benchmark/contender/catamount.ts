import { Events } from '../../../lib/core/events';
import { runInContext } from '../../../lib/core/execution-context';
import { Redis } from '../../../lib/core/redis';
import type { JobSetup } from '../../../lib/job/definition/setup';
import { RowEnqueuer } from '../../../lib/job/enqueue/row-enqueuer';
import { Hints } from '../../../lib/job/hint/hints';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import { JobProcessor } from '../../../lib/job/processor';
import { Database } from '../../../lib/model/database';
import { connectTransactions } from '../../../lib/model/transaction';
import { Deadline } from '../../../lib/support/deadline';
import type { Contender, Producer, Stop, StoreUrls } from './contenders';

let perform: (value: number) => void = () => undefined;

class NoopJob extends Job<[value: number]> {
  perform(value: number): void {
    perform(value);
  }
}

/** Has one attempt only, so it dies at its first failure. */
class DyingJob extends Job<[value: number]> {
  static {
    this.retryOn(Error, { attempts: 1 });
  }

  perform(value: number): void {
    perform(value);
    throw new Error(`${value} is to die`);
  }
}

/** Runs for as long as its process, so that its limit holds all others. */
class HoldingJob extends Job<[value: number]> {
  static override readonly limit = { count: 1 };

  perform(): Promise<void> {
    const { signal } = this.context;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve());
    });
  }
}

/** An app may wrap each run in middleware: this is the smallest one. */
const setup: JobSetup = { performMiddleware: [async (_run, next) => next()] };
/** The context that a request stores in each job it enqueues. */
const REQUEST = { requestId: '5f0c1c3e-8f3b-4a52-9a3e-2f1d0c8e7b6a', locale: 'en' };

interface ContenderOptions {
  /** false: there is no Redis, so jobs are found in Postgres. Default: true. */
  readonly hints?: boolean;
  /** Makes each job fail and die. Default: false. */
  readonly die?: boolean;
  /** Enqueues jobs of which the first holds up the others. Default: false. */
  readonly hold?: boolean;
}

/** The whole job layer, connected as in the job processor's role, with the default queues in strict order. */
export class CatamountContender implements Contender {
  private readonly events = new Events();
  private readonly job: typeof NoopJob | typeof DyingJob | typeof HoldingJob;

  constructor(
    private readonly stores: StoreUrls,
    private readonly options: ContenderOptions = {},
  ) {
    const { die = false, hold = false } = options;
    this.job = die ? DyingJob : hold ? HoldingJob : NoopJob;
    const wrong = die ? /error|lost|retrying/ : /error|lost|dead|retrying/;
    this.events.onAny((name, payload) => {
      if (wrong.test(name)) process.stderr.write(`${name}: ${JSON.stringify(payload)}\n`);
    });
  }

  async work(concurrency: number, run: (value: number) => void): Promise<Stop> {
    const { events, stores } = this;
    const { database, redis, end } = await this.connect(Math.max(3, concurrency + 1));
    perform = run;
    const queues = ['default', 'mailer'].map((name) => ({ name, weight: 1 }));
    const processor = new JobProcessor({
      ...{ database, redis, redisUrl: redis && stores.redisUrl, events, setup },
      config: {
        jobs: { enabled: true, concurrency, queues, weighted: false, latencyWarningMs: 60_000 },
        environment: 'production',
      },
      registry: new JobRegistry([NoopJob, DyingJob, HoldingJob]),
    });
    await processor.start();
    return async () => {
      await processor.stop(Deadline.after(5000));
      await end();
    };
  }

  async produce(): Promise<Producer> {
    const { end } = await this.connect(3);
    const { job } = this;
    const enqueue = (work: () => Promise<unknown>) => runInContext(REQUEST, work);
    return {
      add: (value) => enqueue(() => job.performLater(value)),
      addMany: (values) => enqueue(() => job.performAllLater(values.map((value) => [value]))),
      addLater: (value, waitMs) => job.set({ wait: waitMs }).performLater(value),
      close: end,
    };
  }

  private async connect(poolMax: number) {
    const { events, stores } = this;
    const { hints = true } = this.options;
    const connections = await connectStores(hints ? stores : { databaseUrl: stores.databaseUrl }, events, poolMax);
    const { redis } = connections;
    const { knex } = connections.database;
    connectTransactions(knex);
    Job.connect(new RowEnqueuer(knex, redis && new Hints(redis.client), events), { setup });
    return connections;
  }
}

interface OwnStores {
  readonly databaseUrl: string;
  /** undefined: there is no Redis. */
  readonly redisUrl?: string;
}

/** Opens the connections of a process and resolves once Redis is ready. The result's `end` closes them. */
export async function connectStores({ databaseUrl, redisUrl }: OwnStores, events: Events, poolMax: number) {
  const database = new Database(databaseUrl, { production: false, events, poolMax });
  const redis = redisUrl === undefined ? undefined : new Redis(redisUrl, events);
  if (redis) {
    const ready = events.next('redis.ready');
    await redis.start();
    await ready;
  }
  const end = async () => {
    await redis?.stop(Deadline.after(1000));
    await database.stop(Deadline.after(1000));
  };
  return { database, redis, end };
}
