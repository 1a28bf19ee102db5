import assert from 'node:assert/strict';
import { type CollectedSpan, OtlpCollector } from '../support/otlp-collector';
import { useInSuite } from '../support/suite';
import { useDeployment } from './deployment';
import { type NewUser, somebody } from './sign-ups';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const ROUTER = '00f067aa0ba902b7';

describe('OpenTelemetry', () => {
  const deployment = useDeployment({ each: true });
  const collector = useInSuite(new OtlpCollector(), { each: true });
  const start = async (env: Readonly<Record<string, string>> = {}) => {
    const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, WEB_CONCURRENCY: '1', OTEL_SERVICE_NAME: 'shop' };
    const tree = await deployment.start({ env: { ...otel, ...env } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    const enter = (json: object, flags: string) =>
      tree.request('POST', '/users', { json, headers: { traceparent: `00-${TRACE}-${ROUTER}-${flags}` } });
    return { tree, enter };
  };
  const mailed = ({ email }: NewUser) => deployment.sink.waitFor(({ envelope }) => envelope.to.includes(email));
  const one = (name: string): CollectedSpan => {
    const [span, ...others] = collector.named(name);
    assert.equal(others.length, 0, name);
    return span ?? assert.fail(`no span ${name} among ${collector.spans.map((each) => each.name)}`);
  };

  it('follows a sign-up from the router to its mail, and tells no secrets', async () => {
    const { tree, enter } = await start({ OTEL_EXPORTER_OTLP_HEADERS: 'api-key=k-1' });
    const user = somebody();
    const answer = await enter(user, '01');
    assert.equal(answer.status, 201);
    await mailed(user);
    assert.equal((await tree.request('GET', '/health')).status, 200);
    // The last spans are exported by the stop.
    assert.equal((await tree.stop()).code, 0);

    const [request, insert, enqueue] = [one('POST /users'), one('INSERT users'), one('enqueue mailer')];
    const [run, select, mail] = [one('perform mailer'), one('SELECT users'), one('deliver UserMailer#welcome')];
    assert.deepEqual([request.trace, request.parent, request.kind], [TRACE, ROUTER, 'server']);
    for (const part of [insert, enqueue]) assert.deepEqual([part.trace, part.parent], [TRACE, request.id], part.name);
    assert.equal(one('INSERT job_queue').parent, enqueue.id);
    assert.deepEqual([enqueue.kind, run.kind, run.parent], ['producer', 'consumer', '']);
    assert.notEqual(run.trace, TRACE);
    assert.deepEqual(run.links, [{ trace: TRACE, span: enqueue.id }]);
    for (const part of [select, mail]) assert.deepEqual([part.trace, part.parent], [run.trace, run.id], part.name);

    const { attributes: http } = request;
    assert.deepEqual(
      [http['http.request.method'], http['http.route'], http['http.response.status_code'], http['url.path']],
      ['POST', '/users', 201, '/users'],
    );
    const { 'db.system.name': system, 'db.query.text': text } = insert.attributes;
    assert.equal(system, 'postgresql');
    assert.match(String(text), /^insert into "users" .* values \(\$1, /);
    const { attributes: job } = run;
    assert.deepEqual(
      [job['messaging.system'], job['messaging.operation.type'], job['messaging.destination.name']],
      ['catamount', 'process', 'mailer'],
    );
    assert.deepEqual(
      [job['catamount.job.class'], job['catamount.job.attempt'], job['catamount.job.outcome']],
      ['WelcomeEmailJob', 1, 'succeeded'],
    );
    const id = enqueue.attributes['messaging.message.id'];
    for (const part of [run, select, mail]) assert.equal(part.attributes['catamount.job.id'], id, part.name);
    for (const span of collector.spans) {
      assert.equal(span.attributes['catamount.request.id'], answer.headers['x-request-id'], span.name);
      assert.equal(span.resource['service.name'], 'shop');
      // Catamount's own statements have values in their text.
      assert.doesNotMatch(String(span.attributes['db.query.text']), /'/, span.name);
    }
    assert.doesNotMatch(JSON.stringify(collector.spans), new RegExp(`${user.email}|${user.name}`));
    assert.deepEqual([...new Set(collector.exports.map((headers) => headers['api-key']))], ['k-1']);
  });

  it('follows the decision of the router: what it does not sample is traced nowhere', async () => {
    const { tree, enter } = await start();
    const [silent, traced] = [somebody(), somebody()];
    await enter(silent, '00');
    await mailed(silent);
    await enter(traced, '01');
    await mailed(traced);
    await tree.stop();
    assert.deepEqual([one('POST /users').trace, one('perform mailer').links.length], [TRACE, 1]);
  });

  it('samples a run as the enqueue of its job was, whatever the sampler says', async () => {
    const ratio = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' };
    const { tree, enter } = await start(ratio);
    const [silent, traced] = [somebody(), somebody()];
    await tree.request('POST', '/users', { json: silent });
    await mailed(silent);
    await enter(traced, '01');
    await mailed(traced);
    await tree.stop();
    assert.equal(one('POST /users').trace, TRACE);
    assert.equal(one('perform mailer').links[0]?.trace, TRACE);
  });

  it('records what a run has failed with, without the address that the server has refused', async () => {
    const { tree, enter } = await start();
    const user = somebody();
    deployment.sink.failNext(550, `no mailbox ${user.email}`, 'rcpt');
    await enter(user, '01');
    await tree.waitForLine(/is dead|discarded|WelcomeEmailJob .*fail/i);
    await tree.stop();
    for (const { failed, events } of [one('perform mailer'), one('deliver UserMailer#welcome')])
      assert.deepEqual([failed, events.map(({ name }) => name)], [true, ['exception']]);
    assert.doesNotMatch(JSON.stringify(collector.spans), new RegExp(user.email));
  });

  it('delays and breaks nothing while the collector is down, and says so once in each process', async () => {
    const { url } = collector;
    await collector.remove();
    const { tree, enter } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '50' });
    for (let round = 0; round < 3; round++) {
      const user = somebody();
      assert.equal((await enter(user, '01')).status, 201);
      await mailed(user);
    }
    await tree.waitForLine(/takes no spans/);
    const { code, durationMs } = await tree.stop();
    assert.equal(code, 0);
    assert.ok(durationMs < 20_000, `${durationMs} ms`);
    const told = tree.linesMatching(/takes no spans/).map(({ json }) => json.pid ?? json.name);
    assert.equal(new Set(told).size, told.length);
  });
});
