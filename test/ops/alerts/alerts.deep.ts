import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { usePostgres, useRedisServer } from '../../support/stores';
import { spawnTree, startTree } from '../../support/tree';
import { until } from '../../support/until';

describe('a tree', () => {
  const database = usePostgres();
  const redis = useRedisServer();

  it('tells a webhook that migrations are pending, and once they have run', async () => {
    const received: { readonly event: string; readonly text: string }[] = [];
    const server = http.createServer(async (request, response) => {
      received.push((await json(request)) as (typeof received)[number]);
      response.end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const env = {
      NODE_ENV: 'production',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      MAIL_DELIVERY: 'log',
      APP_URL: 'https://shop.example',
      WEB_CONCURRENCY: '2',
      ALERT_WEBHOOK: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a-secret`,
    };
    const tree = await startTree({ env });
    try {
      await until('an alert', () => received.length === 1);
      assert.match(received[0]?.text ?? '', /migrations have not run: run catamount db migrate/);
      const migration = spawnTree({ args: ['migrate'], env });
      assert.equal((await migration.exited).code, 0);
      await migration.cleanup();
      await until('the end of it', () => received.length === 2);
      assert.equal(received[1]?.event, 'recovery');
      assert.ok(!tree.lines.some((line) => JSON.stringify(line).includes('a-secret')));
    } finally {
      await tree.cleanup();
      server.closeAllConnections();
      server.close();
    }
  });
});
