import assert from 'node:assert/strict';
import { inSuite } from '../../support/suite';
import { catamount, catamountWith } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('catamount top of a whole tree', () => {
  const app = useSupervisorApp();
  const tree = inSuite(undefined, () => app.start());

  it('prints everything once when its output is a pipe', async () => {
    await tree.request('POST', '/dying-job');
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    const { code, stdout, stderr } = await catamount(tree.cwd, 'top');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^Catamount runs: pid \d+, phase 0, 2 of 2 workers ready, job processor ready$/m);
    assert.match(stdout, /^ +1 +\d+ +0 +ready +0\/5 +0 +\d+ +\d+ ms +\d+ MB +0$/m);
    assert.match(stdout, /^Jobs: +pid \d+, ready, 0 running/m);
  });

  it('shows queues when it has the settings of the tree', async () => {
    const { database, redis } = app;
    const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    const { stdout } = await catamountWith(env, tree.cwd, 'top');
    assert.match(stdout, /^default +0 +0 +0 +0 ms {2}open$/m);
  });
});
