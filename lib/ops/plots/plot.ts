import type { WorkerShade } from '../overview/worker-shade';

/** A line, or a layer of a stack. */
export interface Series {
  readonly label: string;
  /** How it is drawn: a class of the style sheet. */
  readonly look: 'k1' | 'k2' | 'k3' | 'k5' | 'p' | WorkerShade | 'j';
  /** null where nothing is known. */
  readonly values: readonly (number | null)[];
  /** The latest known one, with its unit; null: it is there no more, and needs no key. */
  readonly latest: string | null;
}

/** A line across, and what is written beside it. */
export interface Tick {
  readonly value: number;
  readonly text: string;
}

/** Some series over the same stretch of time. */
export interface Plot {
  readonly key: 'requests' | 'response' | 'queueTime' | 'errors' | 'jobs' | 'latency' | 'memory';
  readonly title: string;
  /** Of the axis, and of all figures. */
  readonly unit: string;
  readonly series: readonly Series[];
  /** One upon the other, the first at the bottom. */
  readonly stacked: boolean;
  /** Upper end of the scale, and what is written beside it: from 0 up. */
  readonly max: number;
  readonly ticks: readonly Tick[];
  /** A line that should not be passed. */
  readonly limit: number | null;
  readonly late: boolean;
  /** Instead of the series' own keys: what stands for a whole stack. */
  readonly total: string | null;
}

/** From 0 up, in short words: there is room for four characters. */
export function ticksUpTo(max: number): Tick[] {
  return [0, max / 2, max].map((value) => ({ value, text: value < 10_000 ? String(value) : `${value / 1000}k` }));
}

/** The smallest round number that is not below: its half is round as well. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 6, 8, 10].find((each) => each * power >= value) ?? 10;
  return step * power;
}

/** To three digits: more can be neither drawn nor read. */
export function short(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(3));
}

export function latestOf(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}
