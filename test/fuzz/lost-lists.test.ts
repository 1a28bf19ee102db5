import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { BLOCKED_KEY, keyPrefix } from '../../lib/job/queue/keys';
import { queuesWithStrays } from '../../lib/job/queue/queue-upkeep';
import { StrayJobs } from '../../lib/job/queue/stray-jobs';
import { Deadline } from '../../lib/support/async';
import { recordText } from '../job/sets/stored-job';
import { startTestRedis, type TestRedis } from '../support/redis';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { runs } from './campaign';

const PREFIX = keyPrefix('default');
/** The year 2096: no job falls due during the test. */
const FUTURE_MS = 4e12;
const PLACES = ['waiting', 'held', 'scheduled', 'retry', 'dead'] as const;
type Place = (typeof PLACES)[number];
const KEYS = ['waiting', 'blocked:HeldJob', 'delayed', 'dead', BLOCKED_KEY].map((name) =>
  name === BLOCKED_KEY ? name : PREFIX + name,
);

/** What is lost of a key: all of it, or the members at the positions that are true, counted round and round. */
type Loss = 'all' | readonly boolean[];

/** Whatever part of a queue's lists and sets Redis has lost, each record is in one place again, and in the right one. */
describe('the places of jobs, of which any part is lost', () => {
  let server: TestRedis;
  let redis: Redis;
  before(async () => {
    server = await startTestRedis();
    redis = new Redis(server.url, new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
  });
  after(async () => {
    await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await server?.remove();
  });

  async function put(place: Place, id: string, n: number): Promise<void> {
    const { client } = redis;
    const status = { dead: 'failed', retry: 'retrying', waiting: 'created', held: 'created', scheduled: 'created' };
    const text = recordText({ id, class: place === 'held' ? 'HeldJob' : 'PlainJob', args: [n], status: status[place] });
    const later = place === 'scheduled' || place === 'retry';
    const record = later ? text.replace('"options":{', `"options":{"dueAt":${FUTURE_MS + n},`) : text;
    await client.hSet(`${PREFIX}jobs`, id, record);
    if (place === 'waiting') await client.lPush(`${PREFIX}waiting`, id);
    else if (later) await client.zAdd(`${PREFIX}delayed`, { score: FUTURE_MS + n, value: id });
    else if (place === 'held') {
      await client.lPush(`${PREFIX}blocked:HeldJob`, id);
      await client.sAdd(BLOCKED_KEY, `${PREFIX}blocked:HeldJob`);
    } else await client.zAdd(`${PREFIX}dead`, { score: Date.now(), value: id });
  }

  async function members(key: string): Promise<string[]> {
    const { client } = redis;
    const type = await client.type(key);
    if (type === 'list') return client.lRange(key, 0, -1);
    if (type === 'zset') return client.zRange(key, 0, -1);
    return type === 'set' ? client.sMembers(key) : [];
  }

  async function lose(key: string, loss: Loss): Promise<void> {
    const { client } = redis;
    if (loss === 'all') await client.del(key);
    else {
      const type = await client.type(key);
      for (const [n, member] of (await members(key)).entries()) {
        if (!loss[n % loss.length]) continue;
        if (type === 'list') await client.lRem(key, 0, member);
        else if (type === 'zset') await client.zRem(key, member);
        else await client.sRem(key, member);
      }
    }
  }

  const loss = fc.oneof(
    fc.constant('all' as const),
    fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
    fc.constant([false]),
  );

  it('are restored: each record is in exactly one place, the right one, with its time', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...PLACES), { minLength: 1, maxLength: 30 }),
        fc.tuple(...KEYS.map(() => loss)),
        async (places, losses) => {
          const { client } = redis;
          await client.flushAll();
          for (const [n, place] of places.entries()) await put(place, `job-${n}`, n);
          for (const [n, key] of KEYS.entries()) await lose(key, losses[n] ?? [false]);
          const strays = new StrayJobs({ redis: client, isRunning: () => false, onRestored: () => undefined });
          await strays.check(await queuesWithStrays(client, ['default']));
          const found = new Map<string, string[]>();
          for (const key of KEYS.filter((each) => each !== BLOCKED_KEY))
            for (const id of await members(key)) found.set(id, [...(found.get(id) ?? []), key.slice(PREFIX.length)]);
          const heldIsKnown = (await members(BLOCKED_KEY)).length > 0;
          for (const [n, place] of places.entries()) {
            const where = (found.get(`job-${n}`) ?? []).join();
            const right: Record<Place, readonly string[]> = {
              waiting: ['waiting'],
              held: heldIsKnown ? ['blocked:HeldJob', 'waiting'] : ['waiting'],
              scheduled: ['delayed'],
              retry: ['delayed'],
              dead: ['dead'],
            };
            assert.ok(right[place].includes(where), `a job that was ${place} is in ${where || 'no place'}`);
            if (where === 'delayed')
              assert.equal(await client.zScore(`${PREFIX}delayed`, `job-${n}`), FUTURE_MS + n, 'its time is kept');
          }
          assert.equal(found.size, places.length);
        },
      ),
      runs(300),
    ));
});
