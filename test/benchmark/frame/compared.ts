import type { BurstsResult } from './bursts';
import { type Goal, judged, middleHalf } from './goal';
import { median } from './statistics';
import { short, table } from './table';

export type Rounds<K extends string> = Readonly<Record<K, readonly BurstsResult[]>>;

export interface Comparison {
  readonly title: string;
  /** Who is measured, and what it is held to against the others, in requests a second. */
  readonly subject: string;
  readonly goals: Readonly<Record<string, Goal>>;
}

/** A line for each: its medians over the rounds, and the subject's ratios to it, each of the same round. */
export function compare<K extends string>(rounds: Rounds<K>, { title, subject, goals }: Comparison): string {
  const names = Object.keys(rounds) as K[];
  const lines = names.map((name) => {
    const of = (figure: keyof BurstsResult) => median(rounds[name].map((round) => round[figure]));
    const figures = [of('requestsPerSecond'), of('cpuUs'), of('p50Ms'), of('p99Ms')].map(short);
    if (name === subject) return [name, ...figures, '', '', ''];
    const ratios = (figure: keyof BurstsResult) => ratiosOf(rounds, subject as K, name, figure);
    const speed = ratios('requestsPerSecond');
    return [
      name,
      ...figures,
      judged(median(speed), goals[name]),
      middleHalf(speed),
      median(ratios('cpuUs')).toFixed(2),
    ];
  });
  const head = [title, 'req/s', 'CPU µs', 'p50 ms', 'p99 ms', `${subject} ÷ it`, 'middle half', 'CPU ÷'];
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
