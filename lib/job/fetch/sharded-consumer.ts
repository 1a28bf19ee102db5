import { shardsOf } from '../../core/redis';
import type { ProgressReading } from '../../support/progress';
import { Consumer, type ConsumerOptions, weightedOrder } from './consumer';
import type { Delivery } from './fetch-call';
import { SharedFetcher, type SharedPermits } from './shared-fetcher';

/**
 * One consumer for each server that some of the queues live on. They share the permits, and each waits at its own
 * server. The order of the queues holds within each server; among servers it is the order of their first queues or,
 * with weights, goes by the sum of the weights of each.
 */
export class ShardedConsumer {
  readonly fetcher: FetcherGroup;
  private readonly consumers: readonly Consumer[];

  /** @param urls the URLs of the servers of queues that do not live on `options.redisUrl`, by queue. */
  constructor(
    private readonly options: ConsumerOptions,
    private readonly urls: Readonly<Record<string, string>>,
  ) {
    const { queues, weighted, budget, redisUrl, redis: home } = options;
    const servers = new Map<string, (typeof queues)[number][]>();
    for (const queue of queues) {
      const url = urls[queue.name] ?? redisUrl;
      servers.set(url, [...(servers.get(url) ?? []), queue]);
    }
    const sums = [...servers.values()].map((own) => own.reduce((sum, { weight }) => sum + weight, 0));
    const fetchers: SharedFetcher[] = [];
    const byWeight = () =>
      (weightedOrder(sums)([...fetchers.keys()], 1)[0] ?? []).flatMap((one) => fetchers[one] ?? []);
    const permits: SharedPermits = { free: budget, fetchers, inTurn: weighted ? byWeight : () => fetchers };
    this.consumers = [...servers].map(([redisUrl, own]) => {
      const redis = shardsOf(home.client)?.all.find(({ url }) => url === redisUrl)?.redis ?? home;
      return new Consumer({
        ...options,
        redisUrl,
        redis,
        queues: own,
        createFetcher: (given) => new SharedFetcher(given, permits),
      });
    });
    this.fetcher = new FetcherGroup(fetchers);
  }

  /** Progress of fetching from the server of the queues that do not live elsewhere; undefined when it serves none. */
  get progress(): ProgressReading | undefined {
    return this.consumers.find(({ url }) => url === this.options.redisUrl)?.fetcher.progress.read();
  }

  /** Progress of fetching from the server of these queues; undefined when it serves none of them. */
  progressOf(queues: readonly string[]): ProgressReading | undefined {
    return this.consumers.find(({ url }) => queues.some((queue) => this.urls[queue] === url))?.fetcher.progress.read();
  }

  async start(): Promise<void> {
    await Promise.all(this.consumers.map((consumer) => consumer.start()));
  }

  lookAnew(): void {
    for (const consumer of this.consumers) consumer.lookAnew();
  }

  close(): void {
    for (const consumer of this.consumers) consumer.close();
  }
}

/** Several fetchers as one. */
class FetcherGroup {
  constructor(private readonly fetchers: readonly SharedFetcher[]) {}

  get activeAt(): number {
    return Math.max(...this.fetchers.map((one) => one.activeAt));
  }

  isRunning(id: string): boolean {
    return this.fetchers.some((one) => one.isRunning(id));
  }

  quiet(): void {
    for (const one of this.fetchers) one.quiet();
  }

  resume(): void {
    for (const one of this.fetchers) one.resume();
  }

  async handlersEnded(): Promise<void> {
    await Promise.all(this.fetchers.map((one) => one.handlersEnded()));
  }

  async idle(): Promise<void> {
    await Promise.all(this.fetchers.map((one) => one.idle()));
  }

  returnRunning(recorded: (delivery: Delivery, applied: boolean) => void, counted?: boolean): void {
    for (const one of this.fetchers) one.returnRunning(recorded, counted);
  }
}
