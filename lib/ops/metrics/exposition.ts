import { AggregatorRegistry } from 'prom-client';
import type { Buckets } from '../../core/request-counts';
import type { Scrape } from './scrape';

/** As prom-client tells a metric to other processes. */
interface Told {
  readonly name: string;
  readonly help: string;
  readonly type: Family['type'];
  readonly values: readonly SeriesValue[];
  readonly aggregator: 'first';
}

interface SeriesValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** The scrape as Prometheus's text. */
export async function expose(families: readonly Family[], scrape: Scrape): Promise<string> {
  const told = families.map((family) => render(family, scrape)).filter(({ values }) => values.length > 0);
  return AggregatorRegistry.aggregate([told]).metrics();
}

function render(family: Family, scrape: Scrape): Told {
  const { name, help, type, shared } = family;
  const whose = shared ? {} : { tree: scrape.treeName };
  const values =
    family.type === 'histogram'
      ? family.read(scrape).flatMap((one) => linesOf(name, { ...one, labels: { ...whose, ...one.labels } }))
      : family.read(scrape).map(({ labels, value }) => ({ labels: { ...whose, ...labels }, value: clean(value) }));
  return { name, help, type, values, aggregator: 'first' };
}

function linesOf(name: string, { labels = {}, boundsMs, buckets }: HistogramSample): SeriesValue[] {
  let below = 0;
  const lines = [...boundsMs.map((ms) => String(ms / 1000)), '+Inf'].map((le, i) => {
    below += buckets.counts[i] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
  });
  return [
    ...lines,
    { metricName: `${name}_sum`, labels, value: clean(buckets.sumMs / 1000) },
    { metricName: `${name}_count`, labels, value: below },
  ];
}

/** Without the last digits, which are noise of binary fractions. */
function clean(value: number): number {
  return Number(value.toPrecision(12));
}

type Labels = Readonly<Record<string, string>>;

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
  | (About & { readonly type: 'counter' | 'gauge'; readonly read: (scrape: Scrape) => readonly Sample[] })
  | (About & { readonly type: 'histogram'; readonly read: (scrape: Scrape) => readonly HistogramSample[] });

type GivenValue = number | null | undefined;

/** The one sample of a metric without labels. */
export function only(value: GivenValue): Sample[] {
  return sample({}, value);
}

export function sample(labels: Labels, value: GivenValue): Sample[] {
  return value === null || value === undefined ? [] : [{ labels, value }];
}
