import fs from 'node:fs';
import path from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import YAML from 'yaml';
import type { ScrapedText } from './scrape';

const FOLDER = path.resolve(__dirname, '../../../lib/ops/metrics');

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface GridPos {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: GridPos;
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

/** @throws Error for invalid YAML or duplicate keys. */
export function readRules(): Rule[] {
  const text = fs.readFileSync(path.join(FOLDER, 'alerts.yml'), 'utf8');
  const { groups } = YAML.parse(text, { strict: true, uniqueKeys: true }) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export function readDashboard(): Dashboard {
  return JSON.parse(fs.readFileSync(path.join(FOLDER, 'dashboard.json'), 'utf8')) as Dashboard;
}

/** Every query of the rules and the dashboard, with its place; Grafana's variables are replaced. */
export function allQueries(): [where: string, query: string][] {
  const dashboard = readDashboard();
  const filled = (query: string) => query.replaceAll('$__rate_interval', '5m').replaceAll(/\$\w+/g, '.*');
  return [
    ...readRules().map(({ alert, expr }): [string, string] => [alert, expr]),
    ...dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }): [string, string] => [title, filled(expr)]),
    ),
    ...dashboard.annotations.list.map(({ expr }): [string, string] => ['an annotation', filled(expr)]),
  ];
}

interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

/** A metric that a query selects. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
}

export interface Query {
  readonly selectors: readonly Selector[];
  /** Labels that the query groups or joins by. */
  readonly grouping: readonly string[];
}

/** Parses a query with Prometheus's own grammar. @throws Error that shows where it is wrong. */
export function parseQuery(text: string): Query {
  const tree = parser.configure({ strict: true }).parse(text);
  const selectors: { metric: string; matchers: Matcher[] }[] = [];
  const grouping: string[] = [];
  const words: string[] = [];
  tree.iterate({
    enter: ({ name, from, to, node }) => {
      const word = text.slice(from, to);
      if (name === 'VectorSelector') selectors.push({ metric: '', matchers: [] });
      const current = selectors.at(-1);
      if (name === 'Identifier' && node.parent?.name === 'VectorSelector' && current) current.metric = word;
      if (name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouping.push(word);
      if (name === 'UnquotedLabelMatcher') {
        const [, label = '', operator = '', value = ''] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(word) ?? [];
        current?.matchers.push({ label, operator, value });
      }
      words.push(name);
    },
  });
  return { selectors, grouping };
}

/** Labels that Prometheus adds to everything it scrapes. */
const ADDED = ['job', 'instance'];

/** @returns what a query uses and the scrape lacks: metrics, labels, or values of labels. */
export function unknownTo(scrape: ScrapedText, { selectors, grouping }: Query): string[] {
  const lines = [...scrape.metrics.values()].flatMap((metric) => metric.lines);
  const labels = new Set([...ADDED, ...lines.flatMap((line) => Object.keys(line.labels))]);
  const unknown = grouping.filter((label) => !labels.has(label));
  for (const { metric, matchers } of selectors.filter((selector) => selector.metric !== 'up')) {
    const mine = lines.filter((line) => line.name === metric);
    if (mine.length === 0) unknown.push(metric);
    for (const { label, operator, value } of matchers.filter((matcher) => !ADDED.includes(matcher.label))) {
      for (const one of operator.includes('~') ? value.split('|') : [value]) {
        if (one !== '.*' && !mine.some((line) => line.labels[label] === one))
          unknown.push(`${metric}{${label}="${one}"}`);
      }
    }
  }
  return unknown;
}
