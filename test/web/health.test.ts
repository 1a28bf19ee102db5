import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { Serving } from './serving';

describe('health', () => {
  let serving: Serving | undefined;
  afterEach(() => serving?.stop());

  it('/health is 200 in any state', async () => {
    serving = await Serving.start({
      isLeaving: () => true,
      readiness: [{ name: 'redis', check: () => Promise.reject() }],
    });
    const { status, json, headers } = await serving.request('/health');
    assert.equal(status, 200);
    assert.deepEqual(json, { status: 'ok', app: 'shop' });
    assert.equal(headers['cache-control'], 'no-store');
  });

  it('/ready names what is down, because its check rejects, throws or does not answer within a second', async () => {
    const broken = () => {
      throw new Error('no');
    };
    serving = await Serving.start({
      readiness: [
        { name: 'postgres', check: async () => 'ok' },
        { name: 'redis', check: () => Promise.reject(new Error('secret-host refused')) },
        { name: 'disk', check: broken },
        { name: 'mail', check: () => new Promise(() => undefined) },
      ],
    });
    const { status, json, headers, text } = await serving.request('/ready');
    assert.equal(status, 503);
    assert.equal(headers['retry-after'], '2');
    assert.deepEqual(json.down, ['redis', 'disk', 'mail']);
    assert.equal(json.detail, 'Not answering: redis, disk, mail.');
    assert.match(String(json.reason), /^redis: .*; disk: .*; mail: there is no answer$/);
    assert.doesNotMatch(text, /secret-host/);
    assert.equal(serving.errors.length, 0);
  });

  it('/ready says how old the oldest due job is while jobs stand still, if that is known', async () => {
    let jobs = { running: true, stalled: 'a queue stands still' as string | null, oldestDueS: 41 };
    serving = await Serving.start({ jobs: () => jobs });
    const { json } = await serving.request('/ready');
    const about = { broken: ['jobs'], jobs: 'stalled', reason: jobs.stalled, oldestDueSeconds: 41 };
    assert.deepEqual(json, { status: 'degraded', app: 'shop', ...about });
    jobs = { ...jobs, stalled: null };
    assert.deepEqual((await serving.request('/ready')).json, { status: 'ok', app: 'shop' });
  });

  it('/ready is degraded when something does not work, and says what to do about it', async () => {
    const degraded = () => [{ name: 'installation', advice: 'Adopt it.' }];
    const jobs = () => ({ running: false, stalled: null });
    serving = await Serving.start({ degraded, jobs });
    const { status, json } = await serving.request('/ready');
    assert.equal(status, 200);
    const ofJobs = { jobs: 'stalled', reason: 'the job processor is not running' };
    const about = { broken: ['jobs', 'installation'], advice: ['Adopt it.'], ...ofJobs };
    assert.deepEqual(json, { status: 'degraded', app: 'shop', ...about });
    assert.deepEqual((await serving.request('/health')).json, { status: 'ok', app: 'shop' });
  });

  it('/ready is degraded when an optional service does not answer, and says why', async () => {
    const check = () =>
      Promise.reject(new Error('READONLY You can not write against a read only replica of secret-host.'));
    const jobs = () => ({ running: false, stalled: null });
    serving = await Serving.start({ readiness: [{ name: 'redis', isOptional: true, check }], jobs });
    const { status, json, text } = await serving.request('/ready');
    const reason = 'the job processor is not running; redis: Redis is a replica now';
    assert.equal(status, 200);
    assert.deepEqual([json.status, json.broken], ['degraded', ['jobs', 'redis']]);
    assert.ok(String(json.reason).startsWith(reason), String(json.reason));
    assert.doesNotMatch(text, /secret-host/);
  });

  it('/ready is 503 while the process is stopping', async () => {
    serving = await Serving.start({ isLeaving: () => true });
    const { status, json } = await serving.request('/ready');
    assert.deepEqual([status, json.detail], [503, 'This process is shutting down.']);
  });

  it('runs the checks once for concurrent probes', async () => {
    let rounds = 0;
    const check = async () => {
      rounds++;
      await setImmediate();
    };
    serving = await Serving.start({ readiness: [{ name: 'postgres', check }] });
    // Sent in one packet, so that they are concurrent.
    const probe = 'GET /ready HTTP/1.1\r\nHost: a\r\n';
    const answers = await serving.raw(`${`${probe}\r\n`.repeat(19)}${probe}Connection: close\r\n\r\n`);
    assert.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 20);
    assert.equal(rounds, 1);
  });

  it('405 for other methods', async () => {
    serving = await Serving.start();
    const { status, headers } = await serving.request('/health', { method: 'POST' });
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD, OPTIONS']);
    assert.equal((await serving.request('/ready', { method: 'OPTIONS' })).status, 204);
  });
});
