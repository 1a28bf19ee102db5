import type { BeeConnection } from '../../../lib/job/fetch/consumer';
import { ClassLimits, type Delivery, fetchAndComplete, type Outcome } from '../../../lib/job/fetch/fetch-call';
import { keyPrefix } from '../../../lib/job/queue/keys';

export interface HandmadeCall {
  readonly wanted?: number;
  readonly ends?: readonly { readonly delivery: Delivery; readonly outcome: Outcome }[];
  /** Tokens of calls whose reply was lost. */
  readonly lost?: readonly string[];
  /** Deliveries that it says it has in hand. Default: none. */
  readonly running?: readonly Delivery[];
  readonly upkeep?: boolean;
  /** Whether offered jobs come first. Default: only where there are too few others. */
  readonly recall?: boolean;
}

/** A job processor as Redis sees it, whose calls are made by hand: a test decides who comes first, and who falls silent. */
export class HandmadeProcess {
  private calls = 0;

  constructor(
    private readonly command: BeeConnection,
    readonly identity: string,
    private readonly queues: readonly string[] = ['default'],
    private readonly limits = new ClassLimits(),
  ) {}

  /** @returns its token besides, by which a reply can be called lost. */
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

  /** @returns whether it counted. */
  async end(delivery: Delivery, outcome: Outcome): Promise<boolean> {
    const { applied } = await this.call({ ends: [{ delivery, outcome }] });
    return applied[0] ?? false;
  }
}
