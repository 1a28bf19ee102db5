import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { readSettings } from '../../../lib/core/settings';
import { Database } from '../../../lib/model/database';
import { MetricsPage } from '../../../lib/ops/metrics/scrape';
import { Deadline } from '../../../lib/support/async';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { singleTree } from '../single-tree';

describe('what a scrape reads', () => {
  let postgres: TestDatabase;
  let server: TestRedis;
  let database: Database;
  let redis: Redis;
  let watcher: Redis;
  const events = new Events();
  const cwd = tempFolder('reads');
  before(async () => {
    postgres = await createDatabase({ migrated: true });
    server = await startTestRedis();
    database = new Database(postgres.url, { production: false, events, poolMax: 2 });
    redis = new Redis(server.url, events);
    watcher = new Redis(server.url, events);
    await Promise.all([redis.start(), watcher.start()]);
    await until('Redis is connected', () => redis.client.isReady && watcher.client.isReady);
  });
  after(async () => {
    const deadline = Deadline.after(1000);
    await Promise.allSettled([redis?.stop(deadline), watcher?.stop(deadline), database?.stop(deadline)]);
    await server?.remove();
    await postgres?.drop();
    removeFolder(cwd);
  });

  it('is read from the tree, from Redis and from Postgres only once', async () => {
    const env = { NODE_ENV: 'test', DATABASE_URL: postgres.url, REDIS_URL: server.url, MAIL_DELIVERY: 'log' };
    const config = readSettings({ cwd, env });
    const tree = singleTree(config, events);
    const asked: string[] = [];
    const status = () => {
      asked.push('tree');
      return tree.status();
    };
    database.knex.on('query', ({ sql, bindings }) => asked.push(`${sql} ${JSON.stringify(bindings)}`));
    const commands: string[] = [];
    await watcher.client.monitor((line) => commands.push(String(line)));
    const page = new MetricsPage({
      config,
      events,
      redis,
      knex: database.knex,
      tree: { ...tree, status },
      appName: 'shop',
      jobs: { classes: async () => [], filterArguments: [] },
      isLeaving: () => false,
      previews: { folder: '', madeOf: [], locales: '' },
    });
    await page.text();
    await redis.client.echo('the end');
    await until('MONITOR has reported all commands', () => commands.some((line) => line.includes('the end')));
    // MONITOR also reports the calls inside scripts. Only commands that were sent count.
    const sent = commands.filter((line) => !line.includes(' lua] ')).map((line) => line.replace(/^[^"]*/, ''));
    assert.ok(asked.length > 3 && sent.length > 5, `${asked.length} and ${sent.length} reads were seen`);
    assert.deepEqual(twice([...asked, ...sent]), []);
  });
});

function twice(all: readonly string[]): string[] {
  return [...new Set(all.filter((one, index) => all.indexOf(one) !== index))];
}
