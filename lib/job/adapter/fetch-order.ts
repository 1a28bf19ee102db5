/** @returns the queues to try, by number, for each of `wanted` jobs; a single order stands for all of them. */
export type FetchOrder = (queues: readonly number[], wanted: number) => readonly (readonly number[])[];

/** A queue is looked at only when those before it are empty. */
export const strictOrder: FetchOrder = (queues) => [queues];

/**
 * A queue goes first as often as its weight says, as with Sidekiq; every queue is tried for each job.
 * Keys `random^(1/weight)`, largest first: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
 */
export function weightedOrder(weights: readonly number[], random: () => number = Math.random): FetchOrder {
  const shuffled = (queues: readonly number[]) =>
    queues
      .map((queue) => ({ queue, key: random() ** (1 / (weights[queue] ?? 1)) }))
      .sort((a, b) => b.key - a.key)
      .map(({ queue }) => queue);
  return (queues, wanted) => Array.from({ length: wanted }, () => shuffled(queues));
}
