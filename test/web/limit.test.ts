import assert from 'node:assert/strict';
import http from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { type Deferred, deferred } from '../../lib/support/async';
import { until } from '../support/until';
import { type Answer, Serving, type ServingOptions } from './serving';

describe('limit', () => {
  let serving: Serving;
  /** One for each request that a handler holds, in order. */
  let held: Deferred[] = [];
  let order: string[] = [];
  let mostAtOnce = 0;

  async function start(web: NonNullable<ServingOptions['web']>): Promise<void> {
    let inHandlers = 0;
    serving = await Serving.start({
      web,
      routes(router) {
        router.get('/hold', async (ctx) => {
          order.push(String(ctx.query.n));
          mostAtOnce = Math.max(mostAtOnce, ++inHandlers);
          const hold = deferred();
          held.push(hold);
          await hold.promise;
          inHandlers--;
          ctx.body = 'held';
        });
        router.get('/quick', async (ctx) => {
          mostAtOnce = Math.max(mostAtOnce, ++inHandlers);
          await setImmediate();
          inHandlers--;
          ctx.body = 'quick';
        });
        router.post('/quick', (ctx) => {
          ctx.body = 'posted';
        });
        router.get('/fails', () => {
          throw new Error('no');
        });
        router.get('/large', (ctx) => {
          ctx.body = Buffer.alloc(50_000_000);
        });
        router.get('/released', async (ctx) => {
          ctx.releaseSlot();
          ctx.releaseSlot();
          const hold = deferred();
          held.push(hold);
          await hold.promise;
          ctx.body = 'released';
        });
      },
    });
  }
  beforeEach(() => {
    held = [];
    order = [];
    mostAtOnce = 0;
  });
  afterEach(async () => {
    for (const hold of held) hold.resolve();
    await serving.stop();
  });

  const counts = () => {
    const { inFlight, waiting } = serving.limit.snapshot();
    return `${inFlight} in flight, ${waiting} waiting`;
  };
  const reach = (wanted: string) => until(`there are ${wanted}`, () => counts() === wanted);

  it('never lets more than maxThreads in, whatever comes, while /health answers', async () => {
    await start({ maxThreads: 5, backlog: 1000 });
    const answers = Promise.all(Array.from({ length: 200 }, () => serving.request('/hold')));
    await reach('5 in flight, 195 waiting');
    for (let probe = 0; probe < 20; probe++) assert.equal((await serving.request('/health')).status, 200);
    assert.equal(counts(), '5 in flight, 195 waiting');
    for (let served = 0; served < 200; served++) {
      await until('the next is in', () => held.length > served);
      held[served]?.resolve();
    }
    assert.ok((await answers).every(({ status }) => status === 200));
    assert.equal(mostAtOnce, 5);
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().requestsCount, 200);
  });

  it('serves in order of arrival', async () => {
    await start({ maxThreads: 1, backlog: 10 });
    const answers: Promise<Answer>[] = [];
    for (let n = 0; n < 5; n++) {
      answers.push(serving.request(`/hold?n=${n}`));
      await reach(`1 in flight, ${n} waiting`);
    }
    for (let n = 0; n < 5; n++) {
      await until('the next is in', () => held.length === n + 1);
      held[n]?.resolve();
    }
    await Promise.all(answers);
    assert.deepEqual(order, ['0', '1', '2', '3', '4']);
  });

  it('turns away at once when the backlog is full, and tells how it stands', async () => {
    await start({ maxThreads: 2, backlog: 1 });
    const before = Date.now();
    const first = [serving.request('/hold'), serving.request('/hold')];
    await reach('2 in flight, 0 waiting');
    const third = serving.request('/hold');
    await reach('2 in flight, 1 waiting');
    let told = false;
    const fourth = serving.request('/hold').finally(() => {
      told = true;
    });
    await until('the fourth is told, or waits', () => told || serving.limit.snapshot().waiting > 1);
    assert.equal(counts(), '2 in flight, 1 waiting');
    const { status, headers, json } = await fourth;
    assert.deepEqual([status, headers['retry-after'], json.detail], [503, '2', 'Too many requests are waiting.']);
    assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
    assert.deepEqual(serving.limit.snapshot(), {
      inFlight: 2,
      waiting: 1,
      maxThreads: 2,
      poolCapacity: 0,
      backlogMax: 1,
      requestsCount: 2,
      shedCount: 1,
    });
    const [running] = serving.limit.inFlight();
    assert.deepEqual([running?.method, running?.path], ['GET', '/hold']);
    assert.ok(running && running.startedAt >= before && running.startedAt <= Date.now());
    for (const hold of held) hold.resolve();
    await Promise.all(first);
    await until('the third is in', () => held.length === 3);
    held[2]?.resolve();
    assert.equal((await third).status, 200);
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().backlogMax, 0);
    assert.equal(serving.errors.length, 0, 'a 503 of ours is no error');
  });

  it('turns away what has waited too long', async () => {
    await start({ maxThreads: 1, backlog: 5, queueTimeoutMs: 30 });
    const first = serving.request('/hold');
    await reach('1 in flight, 0 waiting');
    const { status, json } = await serving.request('/hold');
    assert.deepEqual([status, json.detail], [503, 'The request waited too long for its turn.']);
    assert.equal(counts(), '1 in flight, 0 waiting');
    held[0]?.resolve();
    assert.equal((await first).status, 200);
    await until('both events are there', () => serving.finished.length === 2);
    // In either order: a request has finished only when its connection has told so.
    const shed = serving.finished.find(({ shedReason }) => shedReason === 'timeout');
    assert.ok((shed?.queuedMs ?? 0) >= 29, `after ${shed?.queuedMs} ms`);
    assert.equal(serving.finished.filter(({ shedReason }) => shedReason === null).length, 1);
  });

  it('a caller who leaves while waiting gives the place up and is never served', async () => {
    await start({ maxThreads: 1, backlog: 2 });
    const first = serving.request('/hold?n=first');
    await reach('1 in flight, 0 waiting');
    const leaver = await serving.connect();
    leaver.write('GET /hold?n=left HTTP/1.1\r\nHost: a\r\n\r\n');
    await reach('1 in flight, 1 waiting');
    const last = serving.request('/hold?n=last');
    await reach('1 in flight, 2 waiting');
    leaver.destroy();
    await reach('1 in flight, 1 waiting');
    held[0]?.resolve();
    await until('the last is in', () => held.length === 2);
    held[1]?.resolve();
    assert.deepEqual([(await first).status, (await last).status], [200, 200]);
    assert.deepEqual(order, ['first', 'last']);
    assert.deepEqual(
      serving.finished.map(({ status }) => status),
      [499, 200, 200],
    );
  });

  it('holds the slot until a slow reader has the answer, and takes it back when the reader leaves', async () => {
    await start({ maxThreads: 1, backlog: 2 });
    const reader = await serving.connect();
    reader.pause();
    reader.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
    await reach('1 in flight, 0 waiting');
    const next = serving.request('/quick');
    await reach('1 in flight, 1 waiting');
    reader.destroy();
    assert.equal((await next).status, 200);
    await reach('0 in flight, 0 waiting');
  });

  it('a caller who leaves in the middle gives the slot back at once', async () => {
    await start({ maxThreads: 1, backlog: 2 });
    const leaver = await serving.connect();
    leaver.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
    await reach('1 in flight, 0 waiting');
    leaver.destroy();
    await reach('0 in flight, 0 waiting');
    held[0]?.resolve();
    assert.equal((await serving.request('/quick')).status, 200);
    assert.equal(counts(), '0 in flight, 0 waiting');
  });

  it('gives the slot of a pipelining client back when it leaves', async () => {
    await start({ maxThreads: 3, backlog: 100 });
    const warnings: Error[] = [];
    const heard = (warning: Error) => warnings.push(warning);
    process.on('warning', heard);
    const pipeliner = await serving.connect();
    pipeliner.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(30));
    await reach('1 in flight, 0 waiting');
    pipeliner.destroy();
    await reach('0 in flight, 0 waiting');
    process.off('warning', heard);
    assert.deepEqual(warnings, []);
    assert.equal(serving.finished.length, 30);
  });

  it('gives no slot to a request whose answer waits behind another one on its connection', async () => {
    await start({ maxThreads: 2, backlog: 100 });
    const post = 'POST /quick HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
    const last = 'GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const pipeliner = await serving.connect();
    let text = '';
    pipeliner.on('data', (chunk) => {
      text += String(chunk);
    });
    // The body of the first is taken in before it asks for a slot: those behind it would be faster.
    pipeliner.write(`${post}${'GET /quick HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2)}${last}`);
    await until('all are answered', () => text.match(/HTTP\/1\.1 200/g)?.length === 4);
    assert.match(text, /\r\n\r\nposted/);
  });

  it('takes one request at a time of a pipelining client, whose others take no place in the backlog', async () => {
    await start({ maxThreads: 1, backlog: 1 });
    const pipeliner = await serving.connect();
    pipeliner.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(30));
    await reach('1 in flight, 0 waiting');
    const other = serving.request('/quick');
    await reach('1 in flight, 1 waiting');
    held[0]?.resolve();
    assert.equal((await other).status, 200);
    await until('the second of the pipelining client is in', () => held.length === 2);
    assert.equal(counts(), '1 in flight, 0 waiting');
    pipeliner.destroy();
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().shedCount, 0);
  });

  it('answers a pipelining client in order', async () => {
    await start({ maxThreads: 2, backlog: 100 });
    const last = 'GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const pipeliner = await serving.connect();
    let text = '';
    pipeliner.on('data', (chunk) => {
      text += String(chunk);
    });
    pipeliner.write('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50) + last);
    await new Promise((resolve) => pipeliner.once('close', resolve));
    assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 51);
    assert.equal(counts(), '0 in flight, 0 waiting');
  });

  it('keeps count over errors and reused connections', async () => {
    await start({ maxThreads: 2, backlog: 100 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const paths = ['/quick', '/fails', '/nope', '/hold%', '/quick'];
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => serving.request(paths[n % paths.length] ?? '/', { agent })),
    );
    agent.destroy();
    assert.deepEqual([...new Set(answers.map(({ status }) => status))].sort(), [200, 400, 404, 500]);
    await reach('0 in flight, 0 waiting');
    assert.ok(mostAtOnce <= 2);
  });

  it('lets a handler give its slot back early, once', async () => {
    await start({ maxThreads: 1, backlog: 5 });
    const polls = [serving.request('/released'), serving.request('/released')];
    await until('both poll', () => held.length === 2);
    assert.equal(counts(), '0 in flight, 0 waiting');
    assert.equal((await serving.request('/quick')).status, 200);
    for (const hold of held) hold.resolve();
    await Promise.all(polls);
    assert.equal(counts(), '0 in flight, 0 waiting');
  });
});
