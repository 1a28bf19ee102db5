import type { Buckets } from '../../core/request-counts';
import type { Readings } from './readings';

export type Labels = Readonly<Record<string, string>>;

/** One line of a counter or gauge. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** The lines of one histogram. */
export interface HistogramSample {
  readonly labels?: Labels;
  /** Upper bounds of the buckets, ms; `buckets.counts` has one more, for what is above. */
  readonly boundsMs: readonly number[];
  readonly buckets: Buckets;
}

interface About {
  /** In base units, by Prometheus's conventions: `_seconds`, `_bytes`, `_ratio`; counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  /**
   * It is of what all trees on the same Redis and Postgres share: each of them tells the same. All others have a label
   * `tree`, since scrapes of one address may reach one tree or another.
   */
  readonly shared?: true;
}

/** A metric: what it is called, and how it is read. No sample: not known at the moment, which is not 0. */
export type Family =
  | (About & { readonly type: 'counter' | 'gauge'; readonly read: (readings: Readings) => readonly Sample[] })
  | (About & { readonly type: 'histogram'; readonly read: (readings: Readings) => readonly HistogramSample[] });

type Value = number | null | undefined;

/** The one sample of a metric without labels. */
export function only(value: Value): Sample[] {
  return sample({}, value);
}

export function sample(labels: Labels, value: Value): Sample[] {
  return value === null || value === undefined ? [] : [{ labels, value }];
}
