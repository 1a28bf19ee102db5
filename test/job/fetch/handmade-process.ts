import type { BeeConnection } from '../../../lib/job/fetch/consumer';
import { ClassLimits, type Delivery, fetchAndComplete, type Outcome } from '../../../lib/job/fetch/fetch-call';
import { keyPrefix } from '../../../lib/job/queue/keys';

export interface HandmadeCall {
  readonly wanted?: number;
  readonly ends?: readonly { readonly delivery: Delivery; readonly outcome: Outcome }[];
  /** Tokens of calls whose reply was lost. */
  readonly lost?: readonly string[];
  /** Deliveries that the process says it is running. Default: none. */
  readonly running?: readonly Delivery[];
  readonly upkeep?: boolean;
  /** Whether offered jobs come first. Default: false, they are taken only if there are too few others. */
  readonly recall?: boolean;
}

/** A job processor as Redis sees it. The test makes its calls, and so decides their order and who falls silent. */
export class HandmadeProcess {
  private calls = 0;

  constructor(
    private readonly command: BeeConnection,
    readonly identity: string,
    private readonly queues: readonly string[] = ['default'],
    private readonly limits = new ClassLimits(),
  ) {}

  /** @returns the reply, and the token of the call, by which a later call can declare its reply lost. */
  async call({ wanted = 0, ends = [], lost = [], running = [], upkeep = false, recall = false }: HandmadeCall) {
    const { queues, limits } = this;
    const token = `${this.identity}.${++this.calls}`;
    const { fetched, applied } = await fetchAndComplete(this.command, {
      prefixes: queues.map(keyPrefix),
      token,
      wanted,
      queueOrders: wanted > 0 ? [[...queues.keys()]] : [],
      lostTokens: lost,
      limits: limits.written(running, upkeep),
      busy: running.length > 0,
      recall,
      outcomes: ends.map((end) => ({ queue: queues.indexOf(end.delivery.queue), ...end })),
    });
    const deliveries = fetched.map((job) => {
      const limitedClass = limits.classOf(job.record);
      return { ...job, queue: queues[job.queue] ?? '', limitedClass };
    });
    return { token, applied, fetched: deliveries };
  }

  async fetch(wanted: number): Promise<Delivery[]> {
    return (await this.call({ wanted })).fetched;
  }

  /** @returns whether the outcome was applied. */
  async end(delivery: Delivery, outcome: Outcome): Promise<boolean> {
    const { applied } = await this.call({ ends: [{ delivery, outcome }] });
    return applied[0] ?? false;
  }
}
