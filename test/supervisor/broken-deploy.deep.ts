import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { catamount, order, statsOf } from './operator';
import { Stage } from './stage';
import { underLoad } from './under-load';

const pidsOf = async (tree: Tree) => (await statsOf(tree)).worker_status.map(({ pid }) => pid);

describe('a broken deploy under load', () => {
  let stage: Stage;
  let tree: Tree;
  before(async () => {
    stage = await Stage.make();
    tree = await stage.start();
  });
  after(() => stage.remove());

  it('loses no request: the old phase serves on, and stats tell the reason', async () => {
    const old = await pidsOf(tree);
    const mend = stage.spoil('broken');
    const { failures } = await underLoad(
      tree,
      10,
      () => '/slow?ms=20',
      async (load) => {
        const typed = await catamount(tree.cwd, 'phased-restart');
        assert.equal(typed.code, 1);
        assert.match(typed.stderr, /worker 0 cannot boot: a broken deploy/);
        await load.answered(30);
      },
    );
    assert.deepEqual(failures, {});
    const { stdout } = await catamount(tree.cwd, 'stats', '--json');
    const { phase, old_workers, last_phase } = JSON.parse(stdout) as Awaited<ReturnType<typeof statsOf>>;
    assert.deepEqual([phase, old_workers], [0, 0]);
    assert.deepEqual(last_phase, { phase: 1, completed: false, reason: 'worker 0 cannot boot: a broken deploy' });
    assert.deepEqual(await pidsOf(tree), old);
    mend();
  });

  it('goes through once it is mended', async () => {
    await order(tree, 'phased-restart');
    assert.equal((await statsOf(tree)).last_phase?.completed, true);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('costs one worker at most where memory leaves no room for a second beside it', async () => {
    // A program of its own: of the common one, whatever runs beside bears a share, until it ends.
    const node = path.join(tree.cwd, 'node');
    fs.copyFileSync(process.execPath, node);
    const unlimited = await stage.start({}, { node });
    const { memory, worker_status } = await statsOf(unlimited);
    await unlimited.stop();
    const spare = (worker_status[0]?.pss_mb ?? 0) / 2;
    const limit = Math.ceil(((memory.pss_mb ?? 0) + spare) / 0.85);
    tree = await stage.start({ MEMORY_LIMIT_MB: String(limit) }, { node });
    const [, kept] = await pidsOf(tree);
    const mend = stage.spoil('broken');
    const { failures } = await underLoad(
      tree,
      4,
      () => '/slow?ms=20',
      async (load) => {
        await assert.rejects(order(tree, 'phased-restart'), /worker 0 cannot boot: a broken deploy/);
        await load.answered(30);
      },
    );
    assert.deepEqual(failures, {});
    assert.ok((await pidsOf(tree)).includes(kept ?? 0));
    mend();
    const filled = async () => (await statsOf(tree)).booted_workers === 2;
    await until('the first place is filled again', filled);
    assert.deepEqual(tree.linesMatching(/is recycled/), []);
    assert.equal((await tree.stop()).code, 0);
  });
});
