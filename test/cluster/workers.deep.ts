import assert from 'node:assert/strict';
import { startLoad } from '../support/load';
import { isRunning } from '../support/processes';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

describe('workers', () => {
  let cluster: ClusterProcess;

  afterEach(async () => cluster.end());

  it('fill the slots from 0, all on one address', async () => {
    cluster = new ClusterProcess('3');
    const address = await cluster.address();
    assert.deepEqual(
      cluster
        .of('worker.ready')
        .map((ready) => ready.slot)
        .sort(),
      [0, 1, 2],
    );
    const served = new Set<string>();
    await until('every worker has answered', async () => {
      served.add(await (await fetch(address, { headers: { connection: 'close' } })).text());
      return served.size === 3;
    });
  });

  it('come back in their slot after kill -9 and after a crash, waiting longer each time', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    process.kill(cluster.pidOf(0), 'SIGKILL');
    const exited = await cluster.nth('worker.exited');
    assert.deepEqual([exited.slot, exited.signal, exited.expected], [0, 'SIGKILL', false]);
    assert.equal((await cluster.nth('worker.ready', 3)).slot, 0);
    for (let ready = 4; ready <= 6; ready++) {
      await fetch(`${address}/crash`).catch(() => undefined);
      await cluster.nth('worker.ready', ready);
    }
    const waits = new Map([0, 1].map((slot) => [slot, cluster.of('worker.respawn').filter((r) => r.slot === slot)]));
    for (const respawns of waits.values()) {
      const expected = respawns.map((_, n) => 10 * 2 ** n);
      assert.deepEqual(
        respawns.map((respawn) => respawn.waitMs),
        expected,
      );
    }
  });

  it('come back at once, however often they die, where they have served for a while before', async () => {
    cluster = new ClusterProcess('1', 'stable=300');
    await cluster.address();
    for (let dead = 1; dead <= 4; dead++) {
      await cluster.nth('worker.ready', dead);
      const readyAt = performance.now();
      await until('it has served for a while', () => performance.now() - readyAt > 400);
      process.kill(cluster.pidOf(0), 'SIGKILL');
      await cluster.nth('worker.respawn', dead);
    }
    const waits = cluster.of('worker.respawn').map((respawn) => respawn.waitMs);
    assert.deepEqual(waits, [10, 10, 10, 10]);
  });

  it('are replaced one for one, with nothing lost, when they are signalled alone', async () => {
    cluster = new ClusterProcess('2');
    const load = startLoad(await cluster.address(), 16, (n) => `/?ms=${n % 20}`);
    for (let replaced = 1; replaced <= 6; replaced++) {
      await load.answered(100);
      process.kill(cluster.pidOf(replaced % 2), 'SIGTERM');
      await cluster.nth('worker.replaced', replaced);
      const exited = await cluster.nth('worker.exited', replaced);
      assert.deepEqual([exited.code, exited.expected], [0, true]);
    }
    await load.answered(100);
    assert.deepEqual((await load.stop()).failures, {});
  });

  it('are replaced with nothing lost when there is only one', async () => {
    cluster = new ClusterProcess('1');
    const load = startLoad(await cluster.address(), 8, (n) => `/?ms=${n % 20}`);
    for (let replaced = 1; replaced <= 3; replaced++) {
      await load.answered(50);
      process.kill(cluster.pidOf(0), 'SIGTERM');
      await cluster.nth('worker.exited', replaced);
    }
    await load.answered(50);
    assert.deepEqual((await load.stop()).failures, {});
  });

  it('leave no client hanging when they are killed: only what they had accepted is cut', async () => {
    cluster = new ClusterProcess('2');
    const load = startLoad(await cluster.address(), 16, (n) => `/?ms=${n % 10}`);
    for (let killed = 1; killed <= 5; killed++) {
      await load.answered(100);
      process.kill(cluster.pidOf(killed % 2), 'SIGKILL');
      await cluster.nth('worker.ready', 2 + killed);
    }
    await load.answered(100);
    const { failures } = await load.stop();
    assert.deepEqual(
      Object.keys(failures).filter((kind) => !/^(ECONNRESET|EPIPE)/.test(kind)),
      [],
    );
  });

  it('finish what is in flight on SIGTERM, however often it comes, and exit 0', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    const slow = [1, 2, 3, 4].map(async () => (await fetch(`${address}/?ms=700`)).status);
    await fetch(address);
    for (const pid of [cluster.pid, cluster.pidOf(0), cluster.pidOf(1), cluster.pid]) process.kill(pid, 'SIGTERM');
    assert.deepEqual(await Promise.all(slow), [200, 200, 200, 200]);
    assert.deepEqual(await cluster.ended, { code: 0, signal: null });
    assert.equal(cluster.of('child.killed').length, 0);
  });

  it('finish and exit by themselves when the primary is killed', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    const workers = [cluster.pidOf(0), cluster.pidOf(1)];
    const slow = fetch(`${address}/?ms=500`);
    await fetch(address);
    cluster.signal('SIGKILL');
    assert.equal((await slow).status, 200);
    await until('the workers are gone', () => workers.every((pid) => !isRunning(pid)));
  });

  it('that can never boot end the start with their last words', async () => {
    cluster = new ClusterProcess('2', 'broken');
    assert.equal((await cluster.ended).code, 78);
    assert.match(cluster.errors, /this app is broken/);
  });

  it('that do not become ready in time are killed and tried again, then given up', async () => {
    cluster = new ClusterProcess('1', 'mute');
    assert.equal((await cluster.ended).code, 78);
    assert.match(cluster.errors, /worker 0 died 3 times at boot/);
    assert.equal(cluster.of('child.killed').length, 3);
  });
});
