import assert from 'node:assert/strict';
import { FAMILIES } from '../../../lib/ops/metrics/scrape';
import { allQueries, type Panel, parseQuery, readDashboard, readRules, unknownTo } from './queries';
import { ScrapedText } from './scrape';

const NAMES = new Set([
  'up',
  ...FAMILIES.flatMap(({ name, type }) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  ),
]);

const isShared = (metric: string) =>
  FAMILIES.some(({ name, shared }) => shared && new RegExp(`^${name}(_bucket|_sum|_count)?$`).test(metric));

const overlap = ({ gridPos: a }: Panel, { gridPos: b }: Panel) =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe('the alert rules and the dashboard', () => {
  it("have queries that Prometheus's grammar accepts, of existing metrics", () => {
    const queries = allQueries();
    assert.ok(queries.length > 50);
    for (const [where, query] of queries) {
      const { selectors } = parseQuery(query);
      assert.ok(selectors.length > 0, `${where} selects nothing`);
      for (const { metric } of selectors) assert.ok(NAMES.has(metric), `${where}: there is no ${metric}`);
    }
  });

  it('never use rate() or increase() of a gauge, nor a counter without them', () => {
    const counters = FAMILIES.filter(({ type }) => type !== 'gauge').map(({ name }) => name);
    for (const [where, query] of allQueries()) {
      for (const [, name = ''] of query.matchAll(/(catamount_\w+)(?:\{[^}]*\})?(?!\w)(?!\{)(?!\[)/g)) {
        assert.ok(!counters.some((counter) => name.startsWith(counter)), `${where}: ${name} needs a rate`);
      }
      for (const [, name = ''] of query.matchAll(/(?:rate|increase)\((catamount_\w+)/g)) {
        assert.ok(
          counters.some((counter) => name.startsWith(counter)),
          `${where}: ${name} is a gauge`,
        );
      }
    }
  });

  it('give each alert a severity, a summary and a description', () => {
    const rules = readRules();
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
    for (const { alert, expr, labels, annotations, for: wait = '0m', ...more } of rules) {
      assert.match(alert, /^Catamount([A-Z][a-z]+)+$/);
      assert.match(labels.severity, /^(critical|warning|info)$/);
      assert.match(wait, /^\d+[mh]$/);
      assert.deepEqual([Object.keys(annotations), more], [['summary', 'description'], {}], alert);
      assert.match(annotations.description, /\.$/, alert);
      const kept = keptLabels(expr);
      for (const [, label = ''] of Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g)) {
        assert.ok(kept === undefined || kept.includes(label), `${alert} shows ${label}, which its query drops`);
      }
    }
  });

  it('have panels that do not overlap, with a legend for each line', () => {
    const { panels, templating } = readDashboard();
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const [i, panel] of panels.entries()) {
      assert.ok(panel.gridPos.x + panel.gridPos.w <= 24, panel.title);
      for (const other of panels.slice(i + 1)) assert.ok(!overlap(panel, other), `${panel.title} on ${other.title}`);
      for (const { refId, expr, legendFormat } of panel.targets ?? []) {
        assert.equal(panel.targets?.filter((target) => target.refId === refId).length, 1);
        if (panel.type === 'timeseries') assert.notEqual(legendFormat, '', panel.title);
        for (const name of expr.match(/catamount_\w+(?=\{)/g) ?? []) {
          const chosen = isShared(name) ? '{job="$job"' : '{job="$job", tree=~"$tree"';
          assert.ok(expr.includes(`${name}${chosen}`), `${panel.title}: ${name} does not select the chosen trees`);
        }
      }
    }
    assert.deepEqual(
      templating.list.map(({ name }) => name),
      ['datasource', 'job', 'tree'],
    );
  });

  it('are checked with functions that detect mistakes', () => {
    assert.throws(() => parseQuery('sum(catamount_phase'));
    assert.throws(() => parseQuery('rate(catamount_phase)) > 1'));
    const scrape = new ScrapedText('# HELP a_total A thing.\n# TYPE a_total counter\na_total{x="1"} 2\n');
    const unknown = (query: string) => unknownTo(scrape, parseQuery(query));
    assert.deepEqual(unknown('sum by (x, job) (rate(a_total{x=~"1|2",instance="i"}[5m]))'), ['a_total{x="2"}']);
    assert.deepEqual(unknown('sum by (y) (b_total) > 0'), ['y', 'b_total']);
  });
});

/** The labels of a query's result; undefined if it keeps all labels of the metric. */
function keptLabels(query: string): string[] | undefined {
  const [, labels] = /^\s*(?:histogram_quantile\([\d.]+, )?(?:sum|max) by \(([^)]*)\)/.exec(query) ?? [];
  return labels?.split(',').map((label) => label.trim());
}
