import assert from 'node:assert/strict';
import type { Tree, TreeStatus } from '../../lib/cluster/status';
import { type EventMap, Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { NONE_SLOW } from '../../lib/core/request-counts';
import { readSettings } from '../../lib/core/settings';
import { Deadline } from '../../lib/support/deadline';
import { TREES, TREES_WAKE, treeCommandsKey, treeStatusKey } from '../../lib/tree/keys';
import { TreeDirectory } from '../../lib/tree/tree-directory';
import { TreeReporter } from '../../lib/tree/tree-reporter';
import { singleTree } from '../ops/single-tree';
import { startTestRedis, type TestRedis } from '../support/redis';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

describe("a tree's place in Redis", () => {
  let server: TestRedis;
  let redis: Redis;
  let events: Events;
  let tree: Tree;
  let reporter: TreeReporter;
  let list: TreeDirectory;
  const folder = tempFolder('reporter');
  const commands: EventMap['operator.command'][] = [];
  const refusals: EventMap['operator.rejected'][] = [];

  before(async () => {
    server = await startTestRedis();
    events = new Events();
    events.on('operator.command', (event) => commands.push(event));
    events.on('operator.rejected', (event) => refusals.push(event));
    redis = new Redis(server.url, events);
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    const env = { NODE_ENV: 'test', WEB_CONCURRENCY: '1', JOB_PROCESSOR: '0', DYNO: 'web.7' };
    tree = singleTree(readSettings({ cwd: folder, env }), events);
    reporter = new TreeReporter({ redis, tree, events, heartbeatMs: 50 });
    list = new TreeDirectory(redis.client);
    reporter.appoint(true);
    await until('the tree is listed', async () => (await list.list()).length === 1);
  });
  after(async () => {
    await reporter.stop(Deadline.after(WAIT_LIMIT_MS));
    await redis.stop(Deadline.after(WAIT_LIMIT_MS));
    await server.remove();
    removeFolder(folder);
  });

  const listed = async () => (await list.list())[0];

  it('holds its name and status, and is renewed by heartbeats', async () => {
    const { treeStatus } = (await listed()) ?? assert.fail();
    assert.deepEqual([treeStatus.name, treeStatus.app, treeStatus.stats.pid], ['web.7', 'catamount', process.pid]);
    const first = await redis.client.zScore(TREES, 'test');
    await until('the next heartbeat has come', async () => (await redis.client.zScore(TREES, 'test')) !== first);
  });

  it('receives commands, runs each once, and reports who sent them', async () => {
    commands.length = refusals.length = 0;
    const by = `cli:ada at another tree\n${'!'.repeat(1000)}` as const;
    assert.equal(await list.send('test', 'worker-count-up', 0, by), true);
    await until('the command was rejected', () => refusals.length === 1);
    assert.deepEqual(
      commands.map(({ command }) => command),
      ['worker-count-up'],
    );
    assert.match(commands[0]?.via ?? '', /^cli:ada at another tree\\n!{176}$/);
    assert.match(refusals[0]?.reason ?? '', /no web workers/);
    assert.equal(await redis.client.lLen(treeCommandsKey('test')), 0, 'its successor does not find it again');
  });

  it('has a command run by only one of two reporters that overlap', async () => {
    commands.length = refusals.length = 0;
    const twin = new TreeReporter({ redis, tree, events, heartbeatMs: 50 });
    twin.appoint(true);
    for (let n = 0; n < 5; n++) await list.send('test', 'worker-count-up', 0, `cli:ada ${n}`);
    await until('all commands have been run', () => refusals.length >= 5);
    // Its stop waits for its last pass, so that it has run whatever it has found.
    await twin.stop(Deadline.after(WAIT_LIMIT_MS));
    const asked = commands.map(({ via }) => via).sort();
    assert.deepEqual(asked, ['cli:ada 0', 'cli:ada 1', 'cli:ada 2', 'cli:ada 3', 'cli:ada 4']);
  });

  it('sends a status once more when it has changed while it was read', async () => {
    let reads = 0;
    const changing: Tree = Object.create(tree, {
      status: {
        value: async () => {
          // As an answer of the primary, it takes more than a moment.
          await new Promise(setImmediate);
          if (++reads === 1) rare.appoint(true);
          return tree.status();
        },
      },
    });
    const rare = new TreeReporter({ redis, tree: changing, events, heartbeatMs: 3_600_000 });
    rare.appoint(true);
    await until('the status was read again', () => reads === 2);
    await rare.stop(Deadline.after(WAIT_LIMIT_MS));
  });

  it('ignores what is not a command, and commands without a known sender', async () => {
    commands.length = 0;
    const stop = JSON.stringify({ id: 'x', command: 'halt', argument: 0, by: 'cli:ada' });
    const unsigned = JSON.stringify({ id: 'y', command: 'jobs quiet', argument: 0, by: 'a stranger' });
    await redis.client.rPush(treeCommandsKey('test'), ['no JSON', stop, unsigned, '{"command":"recycle"}', '[]']);
    await until(
      'all of them are taken from the list',
      async () => (await redis.client.lLen(treeCommandsKey('test'))) === 0,
    );
    assert.deepEqual(commands, []);
  });

  it('does not exist for an unknown tree, to which no command can be sent', async () => {
    assert.equal(await list.send('nobody', 'jobs quiet', 0, 'cli:ada'), false);
    assert.equal(await redis.client.exists(treeCommandsKey('nobody')), 0);
  });

  describe('of an idle tree, whose next heartbeat is hours away', () => {
    let idle: TreeReporter;
    const score = async () => Number(await redis.client.zScore(TREES, 'test'));
    before(async () => {
      await reporter.stop(Deadline.after(WAIT_LIMIT_MS));
      await redis.client.flushAll();
      idle = new TreeReporter({ redis, tree, events, heartbeatMs: 3_600_000, idleAfterMs: 0 });
      idle.appoint(true);
      await until('the tree is listed', score);
      // The reporter sends a heartbeat that lasts for hours once it knows that it can be woken.
      await until('its heartbeat lasts for hours', async () => {
        await redis.client.publish(TREES_WAKE, 'test');
        return (await score()) > Date.now() + 3_600_000;
      });
    });
    after(async () => {
      await idle.stop(Deadline.after(WAIT_LIMIT_MS));
      reporter.appoint(true);
    });

    it('receives a command at once', async () => {
      refusals.length = 0;
      assert.equal(await list.send('test', 'worker-count-up', 0, 'cli:ada'), true);
      await until('the command was rejected', () => refusals.length === 1);
    });

    it('is given a new status as soon as the primary says that it has changed', async () => {
      const { at } = JSON.parse(String(await redis.client.get(treeStatusKey('test')))) as TreeStatus;
      idle.appoint(true);
      await until('there is a newer status', async () => {
        const text = String(await redis.client.get(treeStatusKey('test')));
        return (JSON.parse(text) as TreeStatus).at !== at;
      });
    });

    it('is given a new status as soon as somebody reads it, which ends all heartbeats that last for hours', async () => {
      assert.ok((await score()) > Date.now() + 3_600_000);
      await redis.client.zAdd(TREES, { value: 'dead', score: Date.now() + 3_600_000 });
      const first = (await listed())?.treeStatus.at;
      assert.ok(Number(await redis.client.zScore(TREES, 'dead')) <= Date.now());
      await until('there is a newer status', async () => (await listed())?.treeStatus.at !== first);
      assert.ok((await score()) <= Date.now());
    });
  });

  it('has no heartbeat that lasts while it is idle, but its login may not subscribe, so that nothing can wake it', async () => {
    await reporter.stop(Deadline.after(WAIT_LIMIT_MS));
    await redis.client.flushAll();
    await redis.client.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>secret', '~*', 'resetchannels', '+@all']);
    const publisher = new Redis(server.url.replace('redis://', 'redis://app:secret@'), events);
    await publisher.start();
    await until('Redis is connected', () => publisher.client.isReady);
    const idle = new TreeReporter({ redis: publisher, tree, events, heartbeatMs: 600_000, idleAfterMs: 0 });
    idle.appoint(true);
    const score = await until('the tree is listed', () => redis.client.zScore(TREES, 'test'));
    assert.ok(score <= Date.now());
    await idle.stop(Deadline.after(WAIT_LIMIT_MS));
    await publisher.stop(Deadline.after(WAIT_LIMIT_MS));
    reporter.appoint(true);
  });

  it('is restored after Redis was emptied or restarted', async () => {
    let emptied = 0;
    events.on('redis.emptied', () => emptied++);
    await redis.client.flushAll();
    await until('the tree is listed again', async () => (await list.list()).length === 1);
    await until('that is told', () => emptied === 1);
    await server.stop();
    await server.start();
    await until('Redis is connected again', () => redis.client.isReady);
    await until('the tree is listed once more', async () => (await list.list()).length === 1);
    assert.equal(emptied, 1, 'a restarted one has kept its data');
    await until(
      'the outage is among the events',
      async () => (await listed())?.treeStatus.events[0]?.name === 'redis.ready',
    );
  });

  it('is kept when Redis is full', async () => {
    const { client } = redis;
    const score = () => client.zScore(TREES, 'test');
    await client.configSet('maxmemory', '1');
    try {
      await assert.rejects(client.set('more', 'x'), /OOM/);
      const first = await score();
      await until('the next heartbeat has come', async () => (await score()) !== first);
      assert.equal((await list.list()).length, 1);
    } finally {
      await client.configSet('maxmemory', '0');
    }
  });

  it('shows the age of its last heartbeat, and is removed after half a minute of silence, or when the tree stops', async () => {
    await reporter.stop(Deadline.after(WAIT_LIMIT_MS));
    const listedAfter = async (heartbeatAgeMs: number) => {
      await redis.client.zAdd(TREES, { value: 'test', score: Date.now() - heartbeatAgeMs });
      return (await list.list()).map((one) => one.heartbeatAgeMs >= heartbeatAgeMs);
    };
    assert.deepEqual(await listedAfter(6000), [true]);
    assert.deepEqual(await listedAfter(31_000), []);
    const asked: number[] = [];
    const sums = { requests: 1, serverErrors: 0, shed: 0, processed: 0, failed: 0 };
    const part = { number: 7, at: 0, sums, duration: [], queued: [], slowest: NONE_SLOW, memory: {} };
    for (const stopping of [false, true]) {
      const leaving: Tree = Object.create(tree, {
        status: { value: async () => ({ ...(await tree.status()), stopping }) },
        rollups: { value: async (after: number) => (asked.push(after) > 0 ? [part] : []) },
      });
      const last = new TreeReporter({ redis, tree: leaving, events, heartbeatMs: 3_600_000 });
      last.appoint(true);
      await until('its first rollups are written', () => asked.length % 2 === 1);
      await last.stop(Deadline.after(WAIT_LIMIT_MS));
      assert.equal((await list.list()).length, stopping ? 0 : 1, 'it leaves the list if the whole tree stops');
    }
    assert.deepEqual(asked, [0, 7, 0, 7], 'a stop writes what came after those');
    reporter.appoint(true);
    await until('the tree is listed again', async () => (await list.list()).length === 1);
  });
});
