import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { order } from './operator';
import { Stage } from './stage';

describe('a stop while a worker boots', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  const WAYS: Readonly<Record<string, (tree: Tree) => Promise<unknown>>> = {
    'by the socket': (tree) => order(tree, 'stop'),
    'by SIGTERM': async (tree) => process.kill(tree.pid, 'SIGTERM'),
  };

  for (const [name, stop] of Object.entries(WAYS)) {
    it(`is as quick and clean as any other, ${name}`, async () => {
      const tree = await stage.start({ LOG_LEVEL: 'debug', WEB_CONCURRENCY: '1' });
      const from = tree.lines.length;
      const restarting = order(tree, 'phased-restart').catch(() => undefined);
      await tree.waitForLine(/worker 0 forked/, { from });
      await stop(tree);
      assert.equal((await tree.end()).code, 0);
      const { text } = await tree.waitForLine(/stopped in/);
      assert.match(text, /stopped in [0-5]\.\d s, 0 killed/);
      await restarting;
      await tree.allGone();
    });
  }

  it('and a worker that is counted down while it boots leaves at once', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1', SHUTDOWN_TIMEOUT: '20s' });
    await order(tree, 'worker-count-up');
    const begun = performance.now();
    assert.deepEqual(await order(tree, 'worker-count-down'), { status: 'ok', workers: 1 });
    assert.ok(performance.now() - begun < 10_000);
    assert.equal(tree.processes().webPids.length, 1);
    assert.deepEqual(tree.linesMatching(/killed/), []);
    assert.equal((await tree.stop()).code, 0);
  });
});
