/**
 * Runs every contender once a round, each round beginning with another one, so that a machine that is busy for a while
 * is busy for all of them.
 * @returns what `measure` gave, by contender, in the order of the rounds.
 */
export async function interleave<K extends string, T>(
  contenders: readonly K[],
  rounds: number,
  measure: (contender: K, round: number) => Promise<T>,
): Promise<Record<K, T[]>> {
  const results = Object.fromEntries(contenders.map((name) => [name, [] as T[]])) as Record<K, T[]>;
  for (let round = 0; round < rounds; round++) {
    const first = round % contenders.length;
    for (const name of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      results[name].push(await measure(name, round));
    }
  }
  return results;
}
