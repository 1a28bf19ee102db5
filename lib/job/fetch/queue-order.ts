/** A queue as JOB_QUEUES names it. */
export interface ServedQueue {
  readonly name: string;
  readonly weight: number;
}

/** @returns the queues to try, by number, in the order for the next jobs. */
export type QueueOrder = (queues: readonly number[]) => readonly number[];

/** A queue is fetched from only when those before it are empty. */
export const strictOrder: QueueOrder = (queues) => queues;

/**
 * A queue goes first in proportion to its weight, as with Sidekiq.
 * Keys `random^(1/weight)`, largest first: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
 */
export function weightedOrder(weights: readonly number[], random: () => number = Math.random): QueueOrder {
  return (queues) =>
    queues
      .map((queue) => ({ queue, key: random() ** (1 / (weights[queue] ?? 1)) }))
      .sort((a, b) => b.key - a.key)
      .map(({ queue }) => queue);
}
