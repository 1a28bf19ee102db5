import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { currentContext, runInContext } from '../../lib/core/execution-context';
import { Redis } from '../../lib/core/redis';
import { Deadline } from '../../lib/support/deadline';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tell } from '../support/replicated-redis';
import { TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/until';

describe('the shared connection of a process to Redis', () => {
  let server: TestRedis;
  let proxy: TcpProxy;
  let redis: Redis;
  let events: Events;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.remove());
  beforeEach(async () => {
    proxy = await TcpProxy.start(server.url);
  });
  afterEach(async () => {
    await redis.stop(Deadline.after(1000));
    await proxy.down();
  });

  const connect = async (patienceMs?: number) => {
    events = new Events();
    redis = new Redis(proxy.url, events, patienceMs === undefined ? {} : { patienceMs });
    const ready = events.next('redis.ready');
    await redis.start();
    await ready;
  };

  it('subscribes again after it was lost, even if Redis never confirmed the first subscription, and reports that', async () => {
    await connect();
    const heard: string[] = [];
    let confirmed = 0;
    server.pause();
    const isListening = redis.listen(
      'news',
      (text) => heard.push(text),
      (refusal) => (refusal ? assert.fail(refusal) : confirmed++),
    );
    // The subscription was sent, but never confirmed.
    await proxy.down();
    server.resume();
    for (const [round, text] of ['first', 'second'].entries()) {
      await proxy.up();
      await until('the subscription is confirmed', () => confirmed === round + 1);
      assert.ok(isListening());
      await tell(server, ['PUBLISH', 'news', text]);
      await until(`${text} is heard`, () => heard.includes(text));
      await proxy.down();
      await until('it is lost', () => !isListening());
    }
    assert.deepEqual(heard, ['first', 'second']);
  });

  it('names its program to the server, which shows it in CLIENT LIST', async () => {
    await connect();
    assert.match(String(await redis.client.sendCommand(['CLIENT', 'INFO'])), /lib-name=node-redis\(catamount\)/);
  });

  it('reports that its user may not subscribe', async () => {
    await tell(server, ['ACL', 'SETUSER', 'publisher', 'on', '>secret', '~*', '+@all', 'resetchannels']);
    redis = new Redis(`redis://publisher:secret@127.0.0.1:${proxy.port}`, new Events());
    await redis.start();
    const refusals: string[] = [];
    const isListening = redis.listen(
      'news',
      () => assert.fail('nothing is published'),
      (refusal) => refusals.push(String(refusal)),
    );
    await until('the refusal is reported', () => refusals.length > 0);
    assert.match(refusals[0] ?? '', /NOPERM/);
    assert.ok(!isListening());
  });

  it('is closed when a reply, or the greeting, takes too long, and reopened until Redis answers', async () => {
    await connect(100);
    let connections = 0;
    redis.client.on('connect', () => connections++);
    const contexts: object[] = [];
    events.on('redis.lost', () => contexts.push(currentContext()));
    const lost = events.next('redis.lost');
    const since = performance.now();
    await until('no reply has been due for a while', () => performance.now() - since > 300);
    proxy.hold();
    await assert.rejects(runInContext({ requestId: 'r1' }, () => redis.client.ping()));
    assert.match((await lost).error.message, /^no answer for 0\.1 s$/);
    assert.deepEqual(contexts, [{}], 'it is no matter of the request that asked');
    await until('it has been opened three times', () => connections >= 3);
    const ready = events.next('redis.ready');
    await proxy.down();
    await proxy.up();
    const { awayMs } = await ready;
    assert.ok(awayMs !== null && awayMs > 0, `it had been away for ${awayMs} ms`);
    assert.equal(await redis.client.ping(), 'PONG');
    const before = connections;
    await Promise.all(Array.from({ length: 20 }, () => redis.client.ping()));
    // It could have been closed meanwhile.
    await tell(server, ['BLPOP', 'nothing', '0.3']);
    assert.equal(await redis.client.ping(), 'PONG');
    assert.equal(connections, before, 'a connection that gets replies is kept');
  });
});
