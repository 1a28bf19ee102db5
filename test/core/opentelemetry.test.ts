import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { OpenTelemetry } from '../../lib/core/opentelemetry';
import { connectTracer, type Tracer, tracing } from '../../lib/core/tracing';
import { Deadline } from '../../lib/support/deadline';
import { OtlpCollector } from '../support/otlp-collector';
import { useInSuite } from '../support/suite';
import { until } from '../support/until';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7';
const VARIABLES = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_TRACES_SAMPLER', 'OTEL_TRACES_SAMPLER_ARG'] as const;

describe('what the sampler leaves out', () => {
  const collector = useInSuite(new OtlpCollector());
  const telemetry = new OpenTelemetry({ service: 'shop', release: null, events: new Events() });
  const earlier = VARIABLES.map((name) => [name, process.env[name]] as const);
  let tracer: Tracer;
  before(async () => {
    const values = [collector.url, 'parentbased_traceidratio', '0'];
    for (const [i, name] of VARIABLES.entries()) process.env[name] = values[i];
    await telemetry.start();
    tracer = tracing() ?? assert.fail('nothing is traced');
  });
  after(() => {
    connectTracer(undefined);
    for (const [name, value] of earlier)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });

  it('has no attributes read, neither of a request nor of a run', async () => {
    const unread = () => assert.fail('attributes were read');
    const [silent, sampled] = [{ traceparent: `00-${TRACE}-00` }, { traceparent: `00-${TRACE}-01` }];
    for (const span of [
      tracer.serve('GET', unread, {}),
      tracer.serve('GET', unread, silent),
      tracer.consume('perform mailer', unread, undefined),
      tracer.consume('perform mailer', unread, silent),
    ])
      assert.equal(span.isRecording(), false);
    tracer.serve('GET', () => ({ 'url.path': '/' }), sampled).end();
    tracer.consume('perform mailer', () => ({ 'catamount.job.id': 'j-1' }), sampled).end();
    await telemetry.stop(Deadline.after(20_000));
    // The export may outlast the moment that a stop gives it.
    await until('both spans have arrived', () => collector.spans.length === 2);
    assert.deepEqual(
      collector.spans.map(({ name, attributes }) => [name, attributes]),
      [
        ['GET', { 'url.path': '/' }],
        ['perform mailer', { 'catamount.job.id': 'j-1' }],
      ],
    );
  });
});
