import assert from 'node:assert/strict';
import { HeartbeatRegistry } from '../../../lib/core/heartbeat-registry';
import { readSettings } from '../../../lib/core/settings';
import { warnOfPlannedConnections } from '../../../lib/role/checks/deploy-warnings';
import { TREE_KEYS } from '../../../lib/tree/tree-commands';
import { JobSystem } from '../../job/job-system';
import { treeStatusOf } from '../../ops/overview/tree-statuses';

describe('the warning about pools that are too large', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());

  it('counts the pools of all trees, including those of old processes during a deploy, and its own tree once', async () => {
    const { redis, database, events } = system;
    const { allowed = 0 } =
      (
        await system.postgres.query<{ allowed: number }>(
          "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as allowed",
        )
      )[0] ?? {};
    const half = Math.floor(allowed / 2);
    const warn = (pool: number) => {
      const config = readSettings({ env: { DATABASE_POOL: String(pool) }, cwd: '/nowhere' });
      return warnOfPlannedConnections({ config, database, redis, events, treeId: 'own' });
    };
    const registry = new HeartbeatRegistry(redis.client, TREE_KEYS);
    for (const id of ['own', 'other']) {
      const status = { ...treeStatusOf({ limits: { databaseConnections: half - 10 } }), id };
      await registry.heartbeat(id, { info: JSON.stringify(status), ttlS: 60 });
    }
    // Two workers and a processor, plus the connection that LISTENs: 3 × 3 + 1.
    await warn(3);
    assert.deepEqual(system.eventsNamed('database.overplanned'), []);
    await warn(4);
    assert.deepEqual(system.eventsNamed('database.overplanned'), [{ planned: 2 * half + 6, allowed, trees: 2 }]);
  });
});
