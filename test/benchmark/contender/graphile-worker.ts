import type { Contender, Producer, Stop, Stores } from './contender';
import { peer } from './peer';

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

/** Graphile Worker: jobs in Postgres only. What the outbox road is to be compared with. */
export class GraphileContender implements Contender {
  private readonly graphile = peer<GraphileWorker>('graphile-worker');
  private readonly options: object;

  constructor(stores: Stores) {
    // It would write a line for each job.
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
