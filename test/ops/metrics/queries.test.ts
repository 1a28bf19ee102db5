import assert from 'node:assert/strict';
import { FAMILIES } from '../../../lib/ops/metrics/scrape';
import { allQueries, parseQuery } from './queries';

const NAMES = new Set([
  'up',
  ...FAMILIES.flatMap(({ name, type }) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  ),
]);

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
});
