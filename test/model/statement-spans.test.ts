import assert from 'node:assert/strict';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { Tracer } from '../../lib/core/tracing';
import { traceStatements } from '../../lib/model/statement-spans';
import { useDatabase, usePostgres } from '../support/stores';

describe('the spans of statements', () => {
  const created = usePostgres();
  const database = useDatabase(created, { poolMax: 1 });
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const spans = provider.getTracer('test');
  before(() => {
    const active = spans.startSpan('request');
    const begin: Tracer['begin'] = (_, name, attributes) => spans.startSpan(name, { attributes });
    traceStatements(database.knex, created.url, { active, begin } as Tracer);
  });
  beforeEach(() => exporter.reset());
  after(() => provider.shutdown());

  const tracedAs = async (sql: string) => {
    await database.knex.raw(sql);
    return exporter.getFinishedSpans().map(({ name, attributes }) => [name, attributes['db.query.text']]);
  };

  it('have no values', async () => {
    assert.deepEqual(
      await tracedAs(`select 'it''s', e'a\\'b', $tag$it's$tag$, 12.5e3, 7 as "n7'" from pg_class limit 0`),
      [['SELECT pg_class', `select ?, ?, ?, ?, ? as "n7'" from pg_class limit ?`]],
    );
  });

  for (const [kind, begin, end] of [
    ['text', `'`, `'`],
    ['escaped text', `e'\\'`, `'`],
    ['text in dollars', '$a$', '$a$'],
  ] as const)
    it(`have no part of a long ${kind}, which their length cuts off`, async () => {
      const [span] = await tracedAs(`select ${begin}${'secret '.repeat(400)}${end}`);
      assert.deepEqual(span, ['SELECT', 'select ?']);
    });
});
