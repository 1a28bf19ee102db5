import assert from 'node:assert/strict';
import { order } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a stop while a worker boots', () => {
  const app = useSupervisorApp();

  it('kills nothing, and neither does a worker-count-down while the worker boots', async () => {
    const tree = await app.start({ LOG_LEVEL: 'debug', WEB_CONCURRENCY: '1' });
    await order(tree, 'worker-count-up');
    assert.deepEqual(await order(tree, 'worker-count-down'), { status: 'ok', workers: 1 });
    assert.equal(tree.processes().webPids.length, 1);
    const from = tree.lines.length;
    const restarting = order(tree, 'phased-restart').catch(() => undefined);
    await tree.waitForLine(/worker 0 \(pid \d+\) forked/, { from });
    assert.equal((await tree.stop()).code, 0);
    await tree.waitForLine(/stopped in [\d.]+ m?s, 0 killed/);
    assert.deepEqual(tree.linesMatching(/killed worker/), []);
    await restarting;
    await tree.allGone();
  });
});
