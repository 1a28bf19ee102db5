import assert from 'node:assert/strict';
import { readSettings } from '../../../lib/core/settings';
import { deployWarnings } from '../../../lib/role/start/deploy-warnings';
import { HeartbeatRegistry } from '../../../lib/tree/heartbeat-registry';
import { JobSystem } from '../../job/job-system';
import { treeStatusOf } from '../../ops/overview/tree-statuses';
import { inSuite } from '../../support/suite';

describe('the warning about pools that are too large', () => {
  const system = inSuite('stop', () => JobSystem.start());

  it('counts the pools of all trees, including those of old processes during a deploy, and its own tree once', async () => {
    const { redis, database } = system;
    const { allowed = 0 } =
      (
        await system.postgres.query<{ allowed: number }>(
          "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as allowed",
        )
      )[0] ?? {};
    const half = Math.floor(allowed / 2);
    const warn = (pool: number) => {
      const config = readSettings({ env: { DATABASE_POOL: String(pool) }, cwd: '/nowhere' });
      return deployWarnings({ config, migrations: { ours: [], apps: null }, database, redis, treeId: 'own' });
    };
    const registry = new HeartbeatRegistry(redis.client);
    for (const id of ['own', 'other']) {
      const status = { ...treeStatusOf({ limits: { databaseConnections: half - 10 } }), id };
      await registry.heartbeat(id, { status: JSON.stringify(status) });
    }
    // Two workers and a processor, plus the connection that LISTENs: 3 × 3 + 1.
    assert.deepEqual(await warn(3), []);
    const [told = '', ...more] = await warn(4);
    const planned = `Postgres allows ${allowed} connections, and a deploy of 2 trees may open ${2 * half + 6}`;
    assert.ok(told.startsWith(`${planned}: lower DATABASE_POOL, `), told);
    assert.deepEqual(more, []);
  });
});
