import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { TreeStatus } from '../../lib/cluster/status';
import { request } from '../support/http';
import { Load } from '../support/load';
import { tempFolder } from '../support/temp-folder';
import { ClusterProcess } from './cluster-process';

describe('a single worker under load', () => {
  let cluster: ClusterProcess;
  before(async () => {
    cluster = new ClusterProcess('1');
    await cluster.address();
  });
  after(() => cluster.end());

  const restarts = async () => {
    const { value } = JSON.parse((await request(`${await cluster.address()}/ask/status`)).body) as {
      value: TreeStatus;
    };
    return value.stats.totals.workerRestarts;
  };

  it('loses no request when it is restarted, sent SIGTERM, or scaled up to two and back, nor the count of restarts', async () => {
    const load = new Load(await cluster.address(), 8, (n) => `/?ms=${n % 20}`);
    const renewals = [
      () => cluster.signal('SIGUSR2'),
      () => process.kill(cluster.pidOf(0), 'SIGTERM'),
      () => cluster.signal('SIGUSR2'),
    ];
    for (const [n, renew] of renewals.entries()) {
      await load.more(50);
      renew();
      const { slot, code, expected } = await cluster.nth('worker.exited', n + 1);
      assert.deepEqual([slot, code, expected], [0, 0, true]);
    }
    await cluster.nth('phase.completed', 2);
    const from = cluster.happenings.length;
    cluster.signal('SIGTTIN');
    assert.equal((await cluster.since(from, 'worker.ready')).slot, 1);
    await load.more(50);
    process.kill(cluster.pidOf(1), 'SIGTERM');
    for (const n of [4, 5]) {
      const gone = await cluster.nth('worker.exited', n);
      assert.deepEqual([gone.slot, gone.code, gone.expected], [1, 0, true]);
      assert.deepEqual(await restarts(), { phase: 2, asked: 2 }, 'also when the worker that was restarted is removed');
      if (n === 4) cluster.signal('SIGTTOU');
    }
    await load.more(50);
    assert.deepEqual((await load.stop()).failures, {});
    assert.equal(cluster.of('worker.restart-scheduled').length, 0);
  });
});

for (const order of ['stop-first', 'start-first'] as const) {
  describe(`a phased restart of two workers, ${order}`, () => {
    let cluster: ClusterProcess;
    const spoilt = path.join(tempFolder('deploy'), 'broken');
    before(async () => {
      cluster = new ClusterProcess('2', order, `spoilt=${spoilt}`);
      await cluster.address();
    });
    after(() => cluster.end());
    const pids = () => [cluster.pidOf(0), cluster.pidOf(1)];

    it('is aborted when the new code cannot boot, the workers not yet replaced keep serving, and the next restart loses no request', async () => {
      const load = new Load(await cluster.address(), 8, () => '/?ms=5');
      const [first, second] = pids();
      fs.writeFileSync(spoilt, '');
      const from = cluster.happenings.length;
      cluster.signal('SIGUSR2');
      const { reason } = await cluster.nth('phase.aborted');
      assert.match(reason ?? '', /worker 0 cannot boot/);
      const left = cluster.happenings.slice(from).filter(({ name, expected }) => name === 'worker.exited' && expected);
      assert.deepEqual(left, [], 'none stops before one of the new release has booted');
      await load.more(50);
      fs.unlinkSync(spoilt);
      assert.deepEqual(pids(), [first, second]);
      const served = pids();
      cluster.signal('SIGUSR2');
      await cluster.nth('phase.completed');
      assert.ok(pids().every((pid) => !served.includes(pid)));
      assert.deepEqual((await load.stop()).failures, {});
    });
  });
}

describe('a phased restart of two workers', () => {
  let cluster: ClusterProcess;
  const spoilt = path.join(tempFolder('deploy'), 'broken');
  beforeEach(async () => {
    cluster = new ClusterProcess('2', `spoilt=${spoilt}`);
    await cluster.address();
  });
  afterEach(async () => {
    fs.rmSync(spoilt, { force: true });
    await cluster.end();
  });

  it('forks no successor for a worker that worker-count-down removes meanwhile', async () => {
    const load = new Load(await cluster.address(), 8, () => '/?ms=1500');
    await load.more(8);
    cluster.signal('SIGUSR2');
    assert.equal((await cluster.nth('worker.replaced', 2)).slot, 1);
    // Its requests are still in flight.
    cluster.signal('SIGTTOU');
    await cluster.nth('phase.completed');
    assert.deepEqual((await load.stop()).failures, {});
    const started = cluster.of('worker.ready').map(({ slot }) => slot);
    assert.deepEqual(started.toSorted(), [0, 0, 1]);
  });

  for (const [fate, broken] of Object.entries({ boots: false, 'fails to boot': true }))
    it(`leaves no process of a worker that worker-count-down removes while its successor ${fate}`, async () => {
      if (broken) fs.writeFileSync(spoilt, '');
      process.kill(cluster.pidOf(1), 'SIGTERM');
      await cluster.nth('worker.forked', 3);
      cluster.signal('SIGTTOU');
      await cluster.nth('worker.exited', 2);
      assert.deepEqual([cluster.of('worker.exited').map(({ slot }) => slot), cluster.of('child.killed')], [[1, 1], []]);
    });

  it('waits for a worker that is being replaced, and replaces it again', async () => {
    process.kill(cluster.pidOf(0), 'SIGTERM');
    await cluster.nth('worker.replaced');
    cluster.signal('SIGUSR2');
    await cluster.nth('phase.started');
    cluster.signal('SIGUSR2');
    await cluster.nth('phase.completed');
    const started = cluster.of('worker.ready').map(({ slot }) => slot);
    assert.deepEqual(started.toSorted(), [0, 0, 0, 1, 1]);
    assert.equal(cluster.of('phase.started').length, 1, 'a second one is refused meanwhile');
  });
});
