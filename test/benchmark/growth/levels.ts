import type { Bench } from '../frame/bench';
import { judged } from '../frame/goal';
import { median, pairedRatio } from '../frame/statistics';
import { short, table } from '../frame/table';

/** What one level costs in one round, by figure. */
export type Costs = Readonly<Record<string, number>>;

/** What is not more than this of the first level counts as flat: a busy machine is no steadier. */
const FLAT = { atMost: 1.25 };

/** `10^3` of 1000. */
export function levelName(amount: number): string {
  return `10^${Math.round(Math.log10(amount))}`;
}

/** @param highest of a whole run; a quick one stops at 10^5. */
export function levelsOf(bench: Bench, highest = 1_000_000): number[] {
  const most = Math.min(highest, bench.options.quick ? 100_000 : 1_000_000);
  return [1000, 10_000, 100_000, 1_000_000].filter((amount) => amount <= most);
}

/** A line for each level: the median of each figure, and its ratio to the first level's of the same round. */
export function tellLevels(bench: Bench, title: string, costs: Readonly<Record<string, readonly Costs[]>>): void {
  const levels = Object.keys(costs);
  const [first = ''] = levels;
  const figures = Object.keys(costs[first]?.[0] ?? {});
  const of = (level: string, figure: string) => (costs[level] ?? []).map((round) => round[figure] ?? Number.NaN);
  const lines = levels.map((level) => [
    level,
    ...figures.flatMap((figure) => {
      const ratio = pairedRatio(of(level, figure), of(first, figure));
      return [short(median(of(level, figure))), level === first ? '' : judged(ratio, FLAT)];
    }),
  ]);
  bench.say(`\n${table([title, ...figures.flatMap((figure) => [figure, `÷ ${first}`])], lines)}`);
}
