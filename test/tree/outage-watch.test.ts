import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/async';
import { OutageWatch } from '../../lib/tree/outage-watch';
import { TreeReporter } from '../../lib/tree/tree-reporter';
import { singleTree } from '../ops/single-tree';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { TcpProxy } from '../support/tcp-proxy';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

describe('an outage', () => {
  const folder = tempFolder('outage');
  const logged: string[] = [];
  let server: TestRedis;
  let testDatabase: TestDatabase;
  let proxy: TcpProxy;
  let redis: Redis;
  let database: Database;
  let reporter: TreeReporter;
  let tree: ReturnType<typeof singleTree>;
  /** How many outage events earlier tests have left. */
  let earlier = 0;

  before(async () => {
    [server, testDatabase] = await Promise.all([startTestRedis(), createDatabase()]);
    proxy = await TcpProxy.start(testDatabase.url);
    const events = new Events();
    for (const name of ['service.lost', 'service.restored'] as const) events.on(name, () => logged.push(name));
    redis = new Redis(server.url, events);
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    database = new Database(proxy.url, { production: false, events, poolMax: 2 });
    const env = { NODE_ENV: 'test', WEB_CONCURRENCY: '0', JOB_PROCESSOR: '0' };
    tree = singleTree(readSettings({ cwd: folder, env }), events);
    reporter = new TreeReporter({ redis, database, tree, events, heartbeatMs: 20 });
    reporter.appoint(true);
  });
  after(async () => {
    await reporter?.stop(Deadline.after(WAIT_LIMIT_MS));
    await Promise.all([redis?.stop(Deadline.after(WAIT_LIMIT_MS)), database?.stop(Deadline.after(WAIT_LIMIT_MS))]);
    await proxy?.down();
    await Promise.all([server?.remove(), testDatabase?.drop()]);
    removeFolder(folder);
  });
  beforeEach(async () => {
    earlier = (await outages()).length;
    logged.length = 0;
  });

  /** The outage events in the tree's status, oldest first. */
  const outages = async () => {
    const { events } = await tree.status();
    return events.filter(({ name }) => name.startsWith('service.')).toReversed();
  };
  const told = async () => (await outages()).slice(earlier).map(({ name, about }) => ({ event: name, ...about }));
  const away = () => until('the outage is reported', async () => (await told())[0]);
  const back = () => until('its end is reported', async () => (await told())[1]);

  it('is looked for in an idle tree, too, without a ping of Postgres each time', async () => {
    let pings = 0;
    const count = () => {
      pings++;
    };
    database.knex.on('query', count);
    const events = new Events();
    const found: string[] = [];
    for (const name of ['service.lost', 'service.restored'] as const) events.on(name, () => found.push(name));
    reporter.appoint(false);
    const watch = new OutageWatch({ redis, database, events, tell: async () => {}, isIdle: () => true, everyMs: 5 });
    watch.start();
    try {
      await until('Postgres has been pinged', () => pings > 0);
      await server.stop();
      await until('the outage of Redis is found', () => found.length === 1);
      await server.start();
      await until('its end is found', () => found.length === 2);
      assert.equal(pings, 1);
    } finally {
      await watch.stop();
      database.knex.off('query', count);
      reporter.appoint(true);
    }
  });

  it('of Redis is reported when it begins, and with its duration when it is over', async () => {
    const begun = performance.now();
    await server.stop();
    const first = await away();
    assert.deepEqual([first.event, 'service' in first && first.service], ['service.lost', 'redis']);
    await server.start();
    const { event, outageMs } = { outageMs: 0, ...(await back()) };
    assert.equal(event, 'service.restored');
    assert.ok(outageMs > 0 && outageMs <= Math.ceil(performance.now() - begun), String(outageMs));
    assert.deepEqual(logged, ['service.lost', 'service.restored']);
  });

  it('of Postgres is reported, too, even if nothing else queries it', async () => {
    await proxy.down();
    assert.deepEqual(await away(), { event: 'service.lost', service: 'postgres', cause: 'ECONNREFUSED' });
    await proxy.up();
    assert.deepEqual(
      { ...(await back()), outageMs: 0 },
      { event: 'service.restored', service: 'postgres', outageMs: 0 },
    );
  });

  it('of Postgres is not reported merely because every connection of the pool is in use', async () => {
    const busy = await Promise.all([1, 2].map(() => database.knex.client.acquireConnection()));
    await server.stop();
    await away();
    for (const connection of busy) await database.knex.client.releaseConnection(connection);
    await server.start();
    await back();
    assert.deepEqual(
      (await told()).map((one) => ('service' in one ? one.service : undefined)),
      ['redis', 'redis'],
    );
  });
});
