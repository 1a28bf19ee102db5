import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { readSettings } from '../../../lib/core/settings';
import { checkRedis } from '../../../lib/role/start/redis-check';
import { Deadline } from '../../../lib/support/deadline';
import { startTestRedis } from '../../support/redis';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

describe('the check of Redis at a start', () => {
  it('is made once a Redis that was unavailable is there, and then only warns', async () => {
    const server = await startTestRedis('--maxmemory-policy', 'allkeys-lru');
    const events = new Events();
    const warnings: string[] = [];
    events.on('process.warning', ({ message }) => warnings.push(message));
    const redis = new Redis(server.url, events);
    try {
      const config = readSettings({ cwd: '/srv/shop', env: {} });
      await server.stop();
      await checkRedis({ redis, url: server.url, events, appName: 'shop', config, mayRefuse: true });
      assert.deepEqual(warnings, []);
      await server.start();
      await until('it is warned of', () => warnings.length === 1);
      assert.match(warnings[0] ?? '', /maxmemory-policy allkeys-lru/);
    } finally {
      await redis.stop(Deadline.after(WAIT_LIMIT_MS));
      await server.remove();
    }
  });
});
