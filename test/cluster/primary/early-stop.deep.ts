import assert from 'node:assert/strict';
import type { Tree } from '../../support/tree';
import { order } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a stop while a worker boots', () => {
  const app = useSupervisorApp();

  const WAYS: Readonly<Record<string, (tree: Tree) => Promise<unknown>>> = {
    'by the socket': (tree) => order(tree, 'stop'),
    'by SIGTERM': async (tree) => process.kill(tree.pid, 'SIGTERM'),
  };

  for (const [name, stop] of Object.entries(WAYS)) {
    it(`kills nothing, ${name}, and neither does a worker-count-down while the worker boots`, async () => {
      const tree = await app.start({ LOG_LEVEL: 'debug', WEB_CONCURRENCY: '1' });
      await order(tree, 'worker-count-up');
      assert.deepEqual(await order(tree, 'worker-count-down'), { status: 'ok', workers: 1 });
      assert.equal(tree.processes().webPids.length, 1);
      const from = tree.lines.length;
      const restarting = order(tree, 'phased-restart').catch(() => undefined);
      await tree.waitForLine(/worker 0 \(pid \d+\) forked/, { from });
      await stop(tree);
      assert.equal((await tree.end()).code, 0);
      await tree.waitForLine(/stopped in [\d.]+ m?s, 0 killed/);
      assert.deepEqual(tree.linesMatching(/killed worker/), []);
      await restarting;
      await tree.allGone();
    });
  }
});
