import assert from 'node:assert/strict';
import type { Metric } from './prometheus-text';

/** Prometheus's naming conventions, https://prometheus.io/docs/practices/naming, and further checks of `promtool check metrics`. */
const NO_BASE_UNIT =
  /^(milli|micro|nano|kilo|mega|giga|kibi|mebi|gibi)|^(minutes?|hours?|days?|weeks?|percent|celcius|bits?|ms|us|ns|sec|s|kb|mb|gb|b|m|h|d)$/;
const UNITS = ['seconds', 'bytes', 'ratio', 'info', 'total'];

/** @throws AssertionError that lists the violations. */
export function assertConventions(metrics: ReadonlyMap<string, Metric>): void {
  assert.deepEqual(
    [...metrics.values()].flatMap((metric) => faultsOf(metric).map((fault) => `${metric.name}: ${fault}`)),
    [],
  );
}

function faultsOf({ name, type, help, lines }: Metric): string[] {
  const words = name.split('_');
  const faults = [
    [!/^catamount(_[a-z0-9]+)+$/.test(name), 'is not in snake case, with our prefix'],
    [
      name.endsWith('_total') !== (type === 'counter'),
      'ends in _total without being a counter, or is a counter that does not',
    ],
    [type !== 'histogram' && /_(count|sum|bucket)$/.test(name), 'has a suffix of histograms'],
    [/(^|_)(gauge|counter|histogram|summary)(_|$)/.test(name), 'has its type in its name'],
    [words.some((word) => NO_BASE_UNIT.test(word)), 'is not in a base unit'],
    [
      words.some((word, i) => UNITS.includes(word) && i < words.length - 1 - Number(type === 'counter')),
      'does not end in its unit',
    ],
    [type === 'histogram' && !name.endsWith('_seconds'), 'is of no unit'],
    [!/^[A-Z0-9].{10,}\.$/s.test(help), 'has no help that is a sentence'],
    [lines.some(({ labels }) => Object.keys(labels).some((label) => !/^[a-z]+$/.test(label))), 'has an odd label'],
    [lines.some(({ labels }) => type !== 'histogram' && 'le' in labels), 'uses a label of histograms'],
    [lines.some(({ labels }) => Object.values(labels).includes('')), 'has an empty label'],
  ] as const;
  return faults.flatMap(([broken, fault]) => (broken ? [fault] : []));
}
