import { AggregatorRegistry } from 'prom-client';
import type { HistogramData } from '../../support/histogram';
import type { Scrape } from './scrape';

/** Shape of a metric in prom-client's aggregation of processes, which formats the text for us. */
interface RenderedFamily {
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

/** Formats the scrape in Prometheus's text format; families without a value are left out. */
export async function expose(families: readonly Family[], scrape: Scrape): Promise<string> {
  const rendered = families.map((family) => render(family, scrape)).filter(({ values }) => values.length > 0);
  return AggregatorRegistry.aggregate([rendered]).metrics();
}

function render(family: Family, scrape: Scrape): RenderedFamily {
  const { name, help, type, shared } = family;
  const whose = shared ? {} : { tree: scrape.treeName };
  const values =
    family.type === 'histogram'
      ? family.read(scrape).flatMap((one) => histogramSeries(name, { ...one, labels: { ...whose, ...one.labels } }))
      : family.read(scrape).map(({ labels, value }) => ({ labels: { ...whose, ...labels }, value: clean(value) }));
  return { name, help, type, values, aggregator: 'first' };
}

function histogramSeries(name: string, { labels = {}, boundsMs, buckets }: HistogramSample): SeriesValue[] {
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

/** Rounds to 12 digits, which drops the noise of binary fractions. */
function clean(value: number): number {
  return Number(value.toPrecision(12));
}

type Labels = Readonly<Record<string, string>>;

/** One line of a counter or gauge. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** All lines of one histogram. */
export interface HistogramSample {
  readonly labels?: Labels;
  /** Upper bounds of the buckets, ms; `buckets.counts` has one more entry, for values above the last bound. */
  readonly boundsMs: readonly number[];
  readonly buckets: HistogramData;
}

interface About {
  /** By Prometheus's conventions: base units (`_seconds`, `_bytes`, `_ratio`); counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  /**
   * Marks a metric of all trees on the same Redis and Postgres, which has the same value in each of them. All others
   * get a `tree` label, since scrapes of one address may reach one tree or another.
   */
  readonly shared?: true;
}

/** A metric: its name, and the function that reads it. No sample means unknown, which is not 0. */
export type Family =
  | (About & { readonly type: 'counter' | 'gauge'; readonly read: (scrape: Scrape) => readonly Sample[] })
  | (About & { readonly type: 'histogram'; readonly read: (scrape: Scrape) => readonly HistogramSample[] });

type Read<Values> = (scrape: Scrape) => readonly Values[];

/** A value that may go up and down. */
export function gauge(name: string, help: string, read: Read<Sample>): Family {
  return { name: `catamount_${name}`, help, type: 'gauge', read };
}

export function counter(name: string, help: string, read: Read<Sample>): Family {
  return { name: `catamount_${name}`, help, type: 'counter', read };
}

export function histogram(name: string, help: string, read: Read<HistogramSample>): Family {
  return { name: `catamount_${name}`, help, type: 'histogram', read };
}

export function shared(family: Family): Family {
  return { ...family, shared: true };
}

type GivenValue = number | null | undefined;

/** The single sample of a metric without labels; none for an unknown value. */
export function only(value: GivenValue): Sample[] {
  return sample({}, value);
}

export function sample(labels: Labels, value: GivenValue): Sample[] {
  return value === null || value === undefined ? [] : [{ labels, value }];
}
