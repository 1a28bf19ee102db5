import type { BurstsResult } from './bursts';
import { type Goal, judged, middleHalf } from './goal';
import { median } from './statistics';
import { short, table } from './table';

export type Rounds<K extends string> = Readonly<Record<K, readonly BurstsResult[]>>;

export interface Comparison {
  readonly title: string;
  /** Who is measured. */
  readonly subject: string;
  /** What it is held to against the others, as its figure by theirs. */
  readonly goals: Readonly<Record<string, { readonly speed?: Goal; readonly p99?: Goal }>>;
}

/** A line for each: its medians over the rounds, and the subject's ratios to it, each of the same round. */
export function compare<K extends string>(rounds: Rounds<K>, { title, subject, goals }: Comparison): string {
  const names = Object.keys(rounds) as K[];
  const lines = names.map((name) => {
    const of = (figure: keyof BurstsResult) => median(rounds[name].map((round) => round[figure]));
    const figures = [of('requestsPerSecond'), of('p50Ms'), of('p99Ms'), of('cpuUs')].map(short);
    if (name === subject) return [name, ...figures];
    const ratios = (figure: keyof BurstsResult) => ratiosOf(rounds, subject as K, name, figure);
    const speed = ratios('requestsPerSecond');
    return [
      name,
      ...figures,
      judged(median(speed), goals[name]?.speed),
      middleHalf(speed),
      judged(median(ratios('p99Ms')), goals[name]?.p99),
      judged(median(ratios('cpuUs'))),
    ];
  });
  const head = [title, 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'req/s ÷', 'middle half', 'p99 ÷', 'CPU ÷'];
  return table(head, lines);
}

/** Of each round. */
export function ratiosOf<K extends string>(
  rounds: Rounds<K>,
  subject: K,
  other: K,
  figure: keyof BurstsResult,
): number[] {
  return rounds[subject].map((round, index) => round[figure] / (rounds[other][index]?.[figure] ?? Number.NaN));
}
