import assert from 'node:assert/strict';
import { RedisCarrier, type RedisCarrierOptions } from '../../lib/broadcast/redis-carrier';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Deadline } from '../../lib/support/deadline';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tell } from '../support/replicated-redis';
import { until } from '../support/until';

describe('broadcasts between trees, by Redis', () => {
  let server: TestRedis;
  const opened: Redis[] = [];
  const reported: string[] = [];
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.remove());
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((redis) => redis.stop(Deadline.after(1000))));
    reported.length = 0;
  });

  const open = async (options: Partial<RedisCarrierOptions> = {}, url = server.url) => {
    const events = new Events();
    events.on('process.error', ({ error, during }) => reported.push(`${during}: ${error.message}`));
    events.on('broadcast.dropped', ({ to }) => reported.push(`dropped to ${to}`));
    const redis = new Redis(url, events);
    opened.push(redis);
    await redis.start();
    await redis.firstAttempt(30_000);
    const heard: string[] = [];
    const carrier = new RedisCarrier({ redis, events, app: 'shop', ...options });
    await carrier.listen((frame) => heard.push(frame));
    return { carrier, heard, redis };
  };
  type Opened = Awaited<ReturnType<typeof open>>;
  const receives = ({ heard }: Opened, frame: string) => until(`${frame} is heard`, () => heard.includes(frame));

  it('reach every other tree of the app, once and in order, but not the tree of the sender', async () => {
    const [sender, sibling, other, loner] = [
      await open({ tree: 'a' }),
      await open({ tree: 'a' }),
      await open({ tree: 'b' }),
      await open(),
    ];
    const frames = Array.from({ length: 100 }, (_, n) => `news ${n}`);
    for (const frame of frames) sender.carrier.send(frame);
    await receives(other, 'news 99');
    await receives(loner, 'news 99');
    other.carrier.send('news from b');
    for (const each of [sender, sibling, loner]) await receives(each, 'news from b');
    assert.deepEqual(other.heard, frames);
    assert.deepEqual(loner.heard, [...frames, 'news from b']);
    assert.deepEqual([sender.heard, sibling.heard], [['news from b'], ['news from b']]);
  });

  it('stay apart from those of another app, prefix or database on the same Redis', async () => {
    const prefixed = `${server.url}?keyPrefix=${encodeURIComponent('{shop}')}`;
    const places = [
      await open(),
      await open({ app: 'bazaar' }),
      await open({}, `${server.url}/1`),
      await open({}, prefixed),
    ];
    const mates = [
      await open({}, `${server.url}/0`),
      await open({ app: 'bazaar' }),
      await open({}, `${server.url}/1`),
      await open({}, prefixed),
    ];
    for (const [n, { carrier }] of places.entries()) carrier.send(`news ${n}`);
    for (const [n, mate] of mates.entries()) {
      await receives(mate, `news ${n}`);
      assert.deepEqual(mate.heard, [`news ${n}`]);
    }
  });

  it('reach other trees again, once each, after Redis was away; those sent meanwhile are lost', async () => {
    const [sender, other] = [await open({ tree: 'a' }), await open({ tree: 'b' })];
    await server.stop();
    await until('both notice', () => !sender.redis.client.isReady && !other.redis.client.isReady);
    sender.carrier.send('news lost');
    await server.start();
    await until('both are back', () => sender.redis.client.isReady && other.redis.client.isReady);
    let n = 0;
    await until('they are heard again', () => {
      sender.carrier.send(`news ${n++}`);
      return other.heard.length > 0;
    });
    sender.carrier.send('news end');
    await receives(other, 'news end');
    assert.equal(new Set(other.heard).size, other.heard.length);
    assert.ok(!other.heard.includes('news lost'));
    assert.deepEqual(reported, []);
  });

  it('that a user of Redis may not send or hear are reported, once', async () => {
    await tell(server, ['ACL', 'SETUSER', 'publisher', 'on', '>secret', '~*', '+@all', 'resetchannels']);
    const { carrier, redis } = await open({}, `redis://publisher:secret@127.0.0.1:${server.port}`);
    carrier.send('news 1');
    await until('both are reported', () => reported.length === 2);
    carrier.send('news 2');
    await redis.client.ping();
    assert.match(reported[0] ?? '', /^subscribing to broadcasts of other trees: NOPERM/);
    assert.match(reported[1] ?? '', /^broadcasting to other trees: NOPERM/);
    assert.equal(reported.length, 2);
    await tell(server, ['ACL', 'SETUSER', 'publisher', 'allchannels']);
    carrier.send('news 3');
    await redis.client.ping();
    await tell(server, ['ACL', 'SETUSER', 'publisher', 'resetchannels']);
    carrier.send('news 4');
    await until('the next refusal is reported', () => reported.length === 3);
  });

  it('are dropped while Redis is frozen and 8 MB of them wait, with one warning', async () => {
    const { carrier } = await open({ tree: 'a' });
    const other = await open({ tree: 'b' });
    server.pause();
    for (let n = 0; n < 200; n++) carrier.send(`news ${n} ${'x'.repeat(60_000)}`);
    assert.deepEqual(reported, ['dropped to Redis']);
    server.resume();
    await until('those that waited are heard', () => other.heard.length === 139);
    carrier.send('news afterwards');
    await receives(other, 'news afterwards');
  });
});
