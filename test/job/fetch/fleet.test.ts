import assert from 'node:assert/strict';
import type { RedisClient } from '../../../lib/core/redis';
import { WorkerQueue } from '../../../lib/internals/bee-queue';
import { type BeeConnection, Consumer, strictOrder } from '../../../lib/job/fetch/consumer';
import { ClassLimits } from '../../../lib/job/fetch/fetch-call';
import { Fetcher } from '../../../lib/job/fetch/fetcher';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { readQueues } from '../../../lib/job/queue/queue-status';
import { newRecord } from '../../../lib/job/record/record';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { AdapterStage, connectBee } from './adapter-stage';
import { HandmadeProcess } from './handmade-process';

const RECORD = newRecord('{"class":"AnyJob","args":[]}');

/** Fetchers on connections of their own, like those of several trees, without a poll that could find what they miss. */
describe('the fetchers of several processes', () => {
  let stage: AdapterStage;
  let client: RedisClient;
  const fetchers: Fetcher[] = [];
  const connections: BeeConnection[] = [];
  const gate = new Gate();
  const ran: { readonly id: string; readonly by: number }[] = [];
  before(async () => {
    stage = await AdapterStage.start();
    ({ client } = stage.redis);
  });
  after(() => stage.stop());
  beforeEach(() => gate.open());
  afterEach(async () => {
    gate.open();
    for (const fetcher of fetchers.splice(0)) {
      fetcher.quiet();
      await fetcher.idle();
      fetcher.close();
    }
    for (const connection of connections.splice(0)) connection.end();
    await client.flushAll();
    ran.length = 0;
  });

  const start = async (count: number, onError: (error: Error) => void = (error) => assert.fail(error)) => {
    for (let n = 0; n < count; n++) {
      const [command, blocking] = [await connectBee(stage.server.url), await connectBee(stage.server.url)];
      connections.push(command, blocking);
      const by = fetchers.length;
      const fetcher = new Fetcher({
        queues: [new WorkerQueue('default', 30_000, { command, blocking })],
        command,
        budget: 1,
        order: strictOrder,
        limits: new ClassLimits(),
        handler: async ({ id }) => {
          ran.push({ id, by });
          await gate.pass();
          return { outcome: { op: 'discard', markers: '' }, recorded: () => undefined };
        },
        onError,
      });
      fetchers.push(fetcher);
      fetcher.start();
      await allWait(fetchers.length);
    }
  };
  const enqueue = (...ids: string[]) =>
    dispatch(
      client,
      ids.map((id) => ({ id, queue: 'default', record: RECORD })),
    );
  const blocked = async () => Number(/^blocked_clients:(\d+)/m.exec(await client.info('clients'))?.[1]);
  const allWait = (count: number) => until('the idle fetchers wait', async () => (await blocked()) === count);
  const runs = (count: number) => until('all jobs have run', () => ran.length === count);
  /** The number of calls so far. Those that scripts make are counted, too. */
  const calls = async () => {
    const info = await client.info('commandstats');
    const of = (command: string) => Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return of('evalsha') + of('eval') + of('blmove');
  };

  /** @returns the number of calls for 20 jobs that come one after the other. */
  const costOfLoneJobs = async () => {
    await enqueue('first');
    await runs(1);
    await allWait(fetchers.length);
    const before = await calls();
    for (let n = 0; n < 20; n++) {
      await enqueue(`job-${n}`);
      await runs(n + 2);
      await allWait(fetchers.length);
    }
    return (await calls()) - before;
  };

  it('make as many calls for a lone job as a single fetcher does, however many wait', async () => {
    await start(1);
    const alone = await costOfLoneJobs();
    ran.length = 0;
    await client.flushAll();
    await start(11);
    assert.equal(await costOfLoneJobs(), alone);
    assert.equal(alone, 20 * 4, 'the dispatch, the fetch, the outcome, and waiting again');
  });

  it('share jobs that are enqueued together', async () => {
    await start(4);
    gate.close();
    await enqueue('a', 'b', 'c', 'd');
    await runs(4);
    assert.deepEqual([...new Set(ran.map(({ by }) => by))].sort(), [0, 1, 2, 3]);
  });

  it('are woken by a plain producer, too, without a poll', async () => {
    await start(3);
    for (let n = 0; n < 6; n++) {
      await client
        .multi()
        .hSet('bq:default:jobs', `plain-${n}`, RECORD)
        .lPush('bq:default:waiting', `plain-${n}`)
        .exec();
      await runs(n + 1);
    }
  });

  it('return a job that was offered to one that is quiet or full, in its place in the queue', async () => {
    await start(3);
    gate.close();
    // Redis offers a job to the fetcher that has waited longest.
    fetchers[0]?.quiet();
    await enqueue('a');
    await runs(1);
    assert.notEqual(ran[0]?.by, 0);
    await enqueue('b', 'c', 'd');
    await runs(2);
    await until('what nobody can take is back, in its order', async () => {
      const waiting = await client.lRange('bq:default:waiting', 0, -1);
      return waiting.join() === 'd,c';
    });
    assert.equal(await client.exists('bq:default:offered'), 0);
    gate.open();
    await runs(4);
    assert.deepEqual(ran.map(({ id }) => id).sort(), ['a', 'b', 'c', 'd']);
  });

  it('find a job that was offered to a dead process, with their next call', async () => {
    await start(1);
    const dead = await connectBee(stage.server.url);
    fetchers[0]?.quiet();
    await enqueue('to wake it for the last time');
    await until('the quiet fetcher no longer waits', async () => (await blocked()) === 0);
    await until('the job is back on its queue', async () => (await client.lLen('bq:default:waiting')) === 1);
    await dead.send('blmove', ['bq:default:waiting', 'bq:default:offered', 'RIGHT', 'LEFT', 0]);
    dead.end();
    assert.equal((await readQueues(client, ['default']))[0]?.waiting, 1, 'an offered job counts as waiting');
    fetchers[0]?.resume();
    await runs(1);
  });

  it('take offered jobs first on a recall, and otherwise only if there are too few others', async () => {
    const command = await connectBee(stage.server.url);
    connections.push(command);
    const process = new HandmadeProcess(command, 'handmade');
    const fetch = async (wanted: number, recall: boolean) =>
      (await process.call({ wanted, recall })).fetched.map(({ id }) => id);
    const offer = () => client.lMove('bq:default:waiting', 'bq:default:offered', 'RIGHT', 'LEFT');
    await enqueue('a', 'b', 'c', 'd', 'e');
    await offer();
    assert.deepEqual(await fetch(1, false), ['b'], 'an offered job is left to whom it was offered');
    assert.deepEqual(await fetch(1, true), ['a']);
    await offer();
    assert.deepEqual(await fetch(3, false), ['d', 'e', 'c']);
  });

  it('ask again for offered jobs after Redis has refused a call', async () => {
    const errors: string[] = [];
    await start(1, (error) => errors.push(error.message));
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-evalsha', '-eval']);
    for (const id of ['a', 'b'])
      await client.multi().hSet('bq:default:jobs', id, RECORD).lPush('bq:default:waiting', id).exec();
    await until('a call was refused', () => errors.length > 0);
    assert.match(errors[0] ?? '', /NOPERM/);
    await client.sendCommand(['ACL', 'SETUSER', 'default', '+evalsha', '+eval']);
    await runs(2);
    assert.deepEqual(
      ran.map(({ id }) => id),
      ['a', 'b'],
    );
  });

  it('take a job that was offered to a frozen process, without a poll', async () => {
    const options = {
      redisUrl: stage.server.url,
      redis: stage.redis,
      weighted: false,
      budget: 1,
      limits: new ClassLimits(),
    };
    const ids: string[] = [];
    const consumer = new Consumer({
      ...options,
      queues: [{ name: 'default', weight: 1 }],
      stallInterval: 30_000,
      pollMs: 3_600_000,
      handler: async ({ id }) => {
        ids.push(id);
        return { outcome: { op: 'discard', markers: '' }, recorded: () => undefined };
      },
      onStalled: () => undefined,
      onError: (error) => assert.fail(error),
    });
    // Redis offers a job to the one that has waited longest. This connection waits as a frozen process does.
    const frozen = await connectBee(stage.server.url);
    const offer = () => frozen.send('blmove', ['bq:default:waiting', 'bq:default:offered', 'RIGHT', 'LEFT', 0]);
    let taken = offer();
    await allWait(1);
    await consumer.start();
    for (let n = 0; n < 3; n++) {
      await allWait(2);
      const begun = performance.now();
      await enqueue(`job-${n}`);
      assert.equal(await taken, `job-${n}`);
      await until('the job has run', () => ids.length === n + 1, { everyMs: 5 });
      const tookMs = performance.now() - begun;
      assert.ok(tookMs < 1000, `after ${tookMs} ms, as by a poll`);
      // Now the consumer has waited longest. The frozen one is first again once the consumer has run the next job.
      await allWait(1);
      taken = offer();
      await allWait(2);
      await enqueue(`between-${n}`);
      await until('the other job has run', () => ids.length > n + 1);
      ids.splice(ids.indexOf(`between-${n}`), 1);
    }
    consumer.close();
    frozen.end();
  });

  it('find a job by a poll when its wake was lost with the process to which it was offered', async () => {
    const ids: string[] = [];
    const consumer = new Consumer({
      redisUrl: stage.server.url,
      redis: stage.redis,
      weighted: false,
      budget: 1,
      limits: new ClassLimits(),
      // A queue of its own, which no producer of an earlier test still looks after.
      queues: [{ name: 'lonely', weight: 1 }],
      // Only a poll can find the job.
      stallInterval: 3_600_000,
      pollMs: 50,
      handler: async ({ id }) => {
        ids.push(id);
        return { outcome: { op: 'discard', markers: '' }, recorded: () => undefined };
      },
      onStalled: () => undefined,
      onError: (error) => assert.fail(error),
    });
    // Redis offers the job to the one that has waited longest. Unlike ours, a plain producer does not check that it is taken.
    const doomed = await connectBee(stage.server.url);
    const offered = doomed.send('blmove', ['bq:lonely:waiting', 'bq:lonely:offered', 'RIGHT', 'LEFT', 0]);
    await allWait(1);
    await consumer.start();
    await allWait(2);
    await client.multi().hSet('bq:lonely:jobs', 'plain', RECORD).lPush('bq:lonely:waiting', 'plain').exec();
    assert.equal(await offered, 'plain');
    doomed.end();
    await until('the job has run', () => ids.length === 1);
    consumer.close();
    assert.deepEqual(ids, ['plain']);
  });

  it('leave a paused queue alone after one look, and return what was offered from it', async () => {
    await start(2);
    await client.set('bq:default:paused', '1');
    await enqueue('a', 'b', 'c');
    await until('no fetcher waits for the queue', async () => (await blocked()) === 0);
    await until(
      'all jobs are back on the queue',
      async () => (await client.lRange('bq:default:waiting', 0, -1)).join() === 'c,b,a',
    );
    await client.del('bq:default:paused');
    for (const fetcher of fetchers) fetcher.wake();
    await runs(3);
  });
});
