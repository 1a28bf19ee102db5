import { AggregatorRegistry } from 'prom-client';
import type { Family, HistogramSample } from './family';
import type { Readings } from './readings';

/** As prom-client tells a metric to other processes. */
interface Told {
  readonly name: string;
  readonly help: string;
  readonly type: Family['type'];
  readonly values: readonly Value[];
  readonly aggregator: 'first';
}

interface Value {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** The readings as Prometheus's text. */
export async function expose(families: readonly Family[], readings: Readings): Promise<string> {
  const told = families.map((family) => tell(family, readings)).filter(({ values }) => values.length > 0);
  return AggregatorRegistry.aggregate([told]).metrics();
}

function tell(family: Family, readings: Readings): Told {
  const { name, help, type, shared } = family;
  const whose = shared ? {} : { tree: readings.treeName };
  const values =
    family.type === 'histogram'
      ? family.read(readings).flatMap((one) => linesOf(name, { ...one, labels: { ...whose, ...one.labels } }))
      : family.read(readings).map(({ labels, value }) => ({ labels: { ...whose, ...labels }, value: clean(value) }));
  return { name, help, type, values, aggregator: 'first' };
}

function linesOf(name: string, { labels = {}, boundsMs, buckets }: HistogramSample): Value[] {
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
