export interface Line {
  /** Includes the suffix `_bucket`, `_sum` or `_count`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly lines: Line[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/gy;
const VALUE = /^([+-]?\d+(\.\d+)?(e[+-]?\d+)?|[+-]Inf|NaN)$/i;

/**
 * Parses Prometheus's text format 0.0.4 strictly: one HELP and one TYPE before the lines of a metric, which are contiguous;
 * no duplicate lines; well-formed labels; complete histograms.
 * @throws Error that quotes the line.
 */
export function parsePrometheus(text: string): Map<string, Metric> {
  if (!text.endsWith('\n')) throw new Error('the last line is not terminated');
  const metrics = new Map<string, Metric>();
  const seen = new Set<string>();
  let help: { readonly name: string; readonly text: string } | undefined;
  let current: Metric | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${line}`);
    };
    if (line === '') continue;
    const [, word, about = '', rest = ''] = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line) ?? [];
    if (word === 'HELP') {
      if (metrics.has(about)) fail('the lines of a metric are not contiguous');
      help = { name: about, text: rest };
    } else if (word === 'TYPE') {
      if (help?.name !== about) fail('TYPE without HELP');
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) fail('no type');
      current = { name: about, type: rest, help: help?.text ?? '', lines: [] };
      metrics.set(about, current);
    } else {
      const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? fail('invalid line');
      if (!current || !belongs(name, current)) fail('a line of another metric');
      if (!VALUE.test(value)) fail('not a number');
      const key = `${name} ${JSON.stringify(Object.entries(labelsOf(labels, fail)).sort())}`;
      if (seen.has(key)) fail('duplicate line');
      seen.add(key);
      current?.lines.push({ name, labels: labelsOf(labels, fail), value: numberOf(value) });
    }
  }
  for (const metric of metrics.values()) check(metric);
  return metrics;
}

function belongs(name: string, { name: metric, type }: Metric): boolean {
  return type === 'histogram'
    ? ['_bucket', '_sum', '_count'].some((suffix) => name === metric + suffix)
    : name === metric;
}

function labelsOf(text: string, fail: (why: string) => never): Record<string, string> {
  const labels: Record<string, string> = {};
  let end = 0;
  for (const match of text.matchAll(LABEL)) {
    const [whole, name = '', value = ''] = match;
    if (name in labels) fail(`label ${name} twice`);
    labels[name] = value.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
    end = match.index + whole.length;
  }
  return end === text.length ? labels : fail('labels are not well-formed');
}

function numberOf(text: string): number {
  return /Inf$/i.test(text)
    ? text.startsWith('-')
      ? Number.NEGATIVE_INFINITY
      : Number.POSITIVE_INFINITY
    : Number(text);
}

function check({ name, type, lines }: Metric): void {
  if (lines.length === 0) throw new Error(`${name} has no line`);
  if (type === 'counter' && lines.some(({ value }) => !(value >= 0))) throw new Error(`${name} is negative`);
  if (type !== 'histogram') return;
  const groups = new Map<string, Line[]>();
  for (const line of lines) {
    const { le: _, ...labels } = line.labels;
    const key = JSON.stringify(Object.entries(labels).sort());
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((line) => line.name === `${name}_bucket`);
    const [sum, sums] = only(group, `${name}_sum`);
    const [count, counts] = only(group, `${name}_count`);
    if (sums !== 1 || counts !== 1) throw new Error(`${name} ${key} needs one sum and one count`);
    if (!(sum >= 0)) throw new Error(`${name} ${key} has no sum`);
    buckets.reduce(
      (before, { labels: { le = '' }, value }) => {
        if (!(numberOf(le) > before.le)) throw new Error(`${name} ${key}: its bounds do not rise at ${le}`);
        if (value < before.value) throw new Error(`${name} ${key}: its buckets fall at ${le}`);
        return { le: numberOf(le), value };
      },
      { le: Number.NEGATIVE_INFINITY, value: 0 },
    );
    const last = buckets.at(-1);
    if (last?.labels.le !== '+Inf' || last.value !== count) throw new Error(`${name} ${key} does not end in +Inf`);
  }
}

function only(lines: readonly Line[], name: string): [value: number, howMany: number] {
  const found = lines.filter((line) => line.name === name);
  return [found[0]?.value ?? Number.NaN, found.length];
}
