import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { startLoad } from '../support/load';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { ClusterProcess } from './cluster-process';

describe('a phased restart', () => {
  let cluster: ClusterProcess;

  afterEach(async () => cluster.end());

  for (const [count, ...words] of [['1'], ['2'], ['2', 'start-first']] as const) {
    it(`replaces every one of ${count} workers, ${words[0] ?? 'drain-first where it can'}, and loses no request`, async () => {
      cluster = new ClusterProcess(count, ...words);
      const load = startLoad(await cluster.address(), 16, (n) => `/?ms=${n % 20}`);
      for (let phase = 1; phase <= 4; phase++) {
        const before = cluster.pidOf(0);
        await load.answered(50);
        cluster.signal('SIGUSR2');
        assert.equal((await cluster.nth('phase.completed', phase)).phase, phase);
        assert.notEqual(cluster.pidOf(0), before);
      }
      await load.answered(50);
      assert.deepEqual((await load.stop()).failures, {});
      assert.equal(cluster.of('worker.respawn').length, 0);
    });
  }

  it('is given up when the new code cannot boot; the old workers serve on', async () => {
    const folder = tempFolder('deploy');
    const spoilt = path.join(folder, 'broken');
    cluster = new ClusterProcess('2', 'start-first', `spoilt=${spoilt}`);
    const load = startLoad(await cluster.address(), 8, () => '/?ms=5');
    const before = [cluster.pidOf(0), cluster.pidOf(1)];
    fs.writeFileSync(spoilt, '');
    cluster.signal('SIGUSR2');
    const { reason } = await cluster.nth('phase.abandoned');
    assert.match(reason ?? '', /worker 0 cannot boot/);
    assert.equal(cluster.of('worker.forked').length, 2 + 3);
    await load.answered(50);
    assert.deepEqual([cluster.pidOf(0), cluster.pidOf(1)], before);
    fs.unlinkSync(spoilt);
    cluster.signal('SIGUSR2');
    await cluster.nth('phase.completed');
    assert.deepEqual((await load.stop()).failures, {});
    removeFolder(folder);
  });
});

describe('scaling', () => {
  let cluster: ClusterProcess;

  afterEach(async () => cluster.end());

  it('adds a worker at the end and takes the last away, down to one, with no request lost', async () => {
    cluster = new ClusterProcess('1');
    const load = startLoad(await cluster.address(), 8, (n) => `/?ms=${n % 10}`);
    cluster.signal('SIGTTIN');
    assert.equal((await cluster.nth('worker.ready', 2)).slot, 1);
    await load.answered(50);
    cluster.signal('SIGTTOU');
    const gone = await cluster.nth('worker.exited');
    assert.deepEqual([gone.slot, gone.code, gone.expected], [1, 0, true]);
    await load.answered(50);
    assert.deepEqual((await load.stop()).failures, {});
  });
});

describe('a worker that blocks its event loop', () => {
  let cluster: ClusterProcess;

  afterEach(async () => cluster.end());

  it('is named with what it was doing, killed and replaced', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    const blocked = fetch(`${address}/block`).catch(() => undefined);
    const silent = await cluster.nth('worker.silent');
    assert.deepEqual(
      silent.inFlight?.map(({ what }) => what),
      ['GET /block'],
    );
    await cluster.nth('child.killed');
    assert.equal((await cluster.nth('worker.ready', 3)).slot, silent.slot);
    await blocked;
  });
});
