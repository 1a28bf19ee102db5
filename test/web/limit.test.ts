import assert from 'node:assert/strict';
import http from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { type Deferred, deferred } from '../../lib/support/deferred';
import { until } from '../support/until';
import { type Answer, Serving, type ServingOptions } from './serving';

describe('the concurrency limit', () => {
  let serving: Serving;
  /** One for each request that a handler has held, in order. */
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
  const reach = (wanted: string) => until(`${wanted}`, () => counts() === wanted);

  it('never admits more than maxThreads requests, while /health is always answered', async () => {
    await start({ maxThreads: 5, backlog: 1000 });
    const answers = Promise.all(Array.from({ length: 200 }, () => serving.request('/hold')));
    await reach('5 in flight, 195 waiting');
    for (let probe = 0; probe < 20; probe++) assert.equal((await serving.request('/health')).status, 200);
    assert.equal(counts(), '5 in flight, 195 waiting');
    for (let served = 0; served < 200; served++) {
      await until('the next one is in a handler', () => held.length > served);
      held[served]?.resolve();
    }
    assert.ok((await answers).every(({ status }) => status === 200));
    assert.equal(mostAtOnce, 5);
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().requestsCount, 200);
  });

  it('follows another limit at once; requests above a lower one finish', async () => {
    await start({ maxThreads: 1, backlog: 10 });
    const answers = Array.from({ length: 5 }, () => serving.request('/hold'));
    await reach('1 in flight, 4 waiting');
    serving.limit.setMaxThreads(3);
    await reach('3 in flight, 2 waiting');
    serving.limit.setMaxThreads(2);
    for (const [i, rest] of ['2 in flight, 2 waiting', '2 in flight, 1 waiting'].entries()) {
      held[i]?.resolve();
      await reach(rest);
    }
    assert.equal(serving.limit.snapshot().maxThreads, 2);
    for (let served = 2; served < 5; served++) {
      await until('the next one is in a handler', () => held.length > served);
      held[served]?.resolve();
    }
    assert.ok((await Promise.all(answers)).every(({ status }) => status === 200));
    assert.equal(mostAtOnce, 3);
  });

  it('serves requests in the order of their arrival', async () => {
    await start({ maxThreads: 1, backlog: 10 });
    const answers: Promise<Answer>[] = [];
    for (let n = 0; n < 5; n++) {
      answers.push(serving.request(`/hold?n=${n}`));
      await reach(`1 in flight, ${n} waiting`);
    }
    for (let n = 0; n < 5; n++) {
      await until('the next one is in a handler', () => held.length === n + 1);
      held[n]?.resolve();
    }
    await Promise.all(answers);
    assert.deepEqual(order, ['0', '1', '2', '3', '4']);
  });

  it('sheds at once when the backlog is full, and reports its state', async () => {
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
    await until('the fourth is shed, or waits', () => told || serving.limit.snapshot().waiting > 1);
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
    await until('the third is in a handler', () => held.length === 3);
    held[2]?.resolve();
    assert.equal((await third).status, 200);
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().backlogMax, 0);
    assert.equal(serving.errors.length, 0, 'a shed request is not an error');
  });

  it('sheds a request that has waited too long', async () => {
    await start({ maxThreads: 1, backlog: 5, queueTimeoutMs: 30 });
    const first = serving.request('/hold');
    await reach('1 in flight, 0 waiting');
    const { status, json } = await serving.request('/hold');
    assert.deepEqual([status, json.detail], [503, 'The request waited too long for its turn.']);
    assert.equal(serving.limit.snapshot().shedCount, 1);
    assert.equal(counts(), '1 in flight, 0 waiting');
    held[0]?.resolve();
    assert.equal((await first).status, 200);
    await until('both events have been emitted', () => serving.finished.length === 2);
    // In either order, since a request only finishes when its connection reports that.
    const shed = serving.finished.find(({ shedReason }) => shedReason === 'timeout');
    assert.ok((shed?.queuedMs ?? 0) >= 29, `after ${shed?.queuedMs} ms`);
    assert.equal(serving.finished.filter(({ shedReason }) => shedReason === null).length, 1);
  });

  it('never serves a client that disconnects while waiting, and frees its place', async () => {
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
    await until('the last is in a handler', () => held.length === 2);
    held[1]?.resolve();
    assert.deepEqual([(await first).status, (await last).status], [200, 200]);
    assert.deepEqual([order, serving.limit.snapshot().shedCount], [['first', 'last'], 0]);
    assert.deepEqual(
      serving.finished.map(({ status }) => status),
      [499, 200, 200],
    );
  });

  it('keeps the slot until a slow client has read the response, or disconnects', async () => {
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

  it('frees the slot of a pipelining client when it disconnects', async () => {
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

  it('gives no slot to a request whose response has to wait for another one on its connection', async () => {
    await start({ maxThreads: 2, backlog: 100 });
    const post = 'POST /quick HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
    const last = 'GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const pipeliner = await serving.connect();
    let text = '';
    pipeliner.on('data', (chunk) => {
      text += String(chunk);
    });
    // The first one's body is read before it requests a slot, so the later ones would overtake it.
    pipeliner.write(`${post}${'GET /quick HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2)}${last}`);
    await until('all responses have arrived', () => text.match(/HTTP\/1\.1 200/g)?.length === 4);
    assert.match(text, /\r\n\r\nposted/);
  });

  it('admits one request of a pipelining client at a time, and its others take no place in the backlog', async () => {
    await start({ maxThreads: 1, backlog: 1 });
    const pipeliner = await serving.connect();
    pipeliner.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(30));
    await reach('1 in flight, 0 waiting');
    const other = serving.request('/quick');
    await reach('1 in flight, 1 waiting');
    held[0]?.resolve();
    assert.equal((await other).status, 200);
    await until('the second one of the pipelining client is in a handler', () => held.length === 2);
    assert.equal(counts(), '1 in flight, 0 waiting');
    pipeliner.destroy();
    await reach('0 in flight, 0 waiting');
    assert.equal(serving.limit.snapshot().shedCount, 0);
  });

  it('counts correctly despite errors and reused connections', async () => {
    await start({ maxThreads: 2, backlog: 100 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const paths = ['/quick', '/fails', '/nope', '/hold%', '/quick'];
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => serving.request(paths[n % paths.length] ?? '/', { agent })),
    );
    agent.destroy();
    assert.deepEqual([...new Set(answers.map(({ status }) => status))].sort(), [200, 400, 404, 500]);
    assert.equal(answers[0]?.headers['keep-alive'], 'timeout=95', "longer than Heroku's router waits");
    await reach('0 in flight, 0 waiting');
    assert.ok(mostAtOnce <= 2);
  });

  it('lets a handler release its slot early, and only once', async () => {
    await start({ maxThreads: 1, backlog: 5 });
    const polls = [serving.request('/released'), serving.request('/released')];
    await until('both are polling', () => held.length === 2);
    assert.equal(counts(), '0 in flight, 0 waiting');
    assert.equal((await serving.request('/quick')).status, 200);
    for (const hold of held) hold.resolve();
    await Promise.all(polls);
    assert.equal(counts(), '0 in flight, 0 waiting');
  });
});
