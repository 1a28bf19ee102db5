import assert from 'node:assert/strict';
import type { Answer } from '../../support/http';
import { type Metric, parsePrometheus } from './prometheus-text';

/** The parsed text of a scrape. */
export class ScrapedText {
  readonly metrics: ReadonlyMap<string, Metric>;

  /** @throws Error when the text violates the format. */
  constructor(readonly text: string) {
    this.metrics = parsePrometheus(text);
  }

  static of(answer: Answer): ScrapedText {
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    return new ScrapedText(answer.body);
  }

  /** The sum of the lines with these labels; NaN if there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const metric = this.metrics.get(name) ?? this.metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
    const wanted = Object.entries(labels);
    const found = (metric?.lines ?? []).filter(
      (line) => line.name === name && wanted.every(([label, value]) => line.labels[label] === value),
    );
    return found.length === 0 ? Number.NaN : found.reduce((sum, { value }) => sum + value, 0);
  }

  /** The values of all counters, by name and labels. */
  growing(): Map<string, number> {
    const grows = [...this.metrics.values()].filter(({ type }) => type !== 'gauge');
    return new Map(
      grows.flatMap(({ lines }) =>
        lines.map(({ name, labels, value }) => [`${name} ${JSON.stringify(Object.entries(labels))}`, value] as const),
      ),
    );
  }

  /** @throws AssertionError that names counters that have decreased or disappeared since `before`. */
  assertNothingWentBack(before: ScrapedText): void {
    const now = this.growing();
    const less = [...before.growing()].filter(([key, value]) => !((now.get(key) ?? -1) >= value));
    assert.deepEqual(
      less.map(([key, value]) => `${key}: ${value}, then ${now.get(key)}`),
      [],
    );
  }
}
