import assert from 'node:assert/strict';
import type { TreeStatus } from '../../lib/cluster/status';
import { request } from '../support/http';
import { ClusterProcess } from './cluster-process';

describe('a worker fewer', () => {
  let cluster: ClusterProcess;
  const start = async (...words: string[]) => {
    cluster = new ClusterProcess('3', ...words);
    await cluster.address();
  };
  afterEach(() => cluster.end());

  /** @returns the slot whose worker has ended. */
  const remove = async () => {
    const status = await request(`${await cluster.address()}/ask/status`);
    const { nextCulled } = (JSON.parse(status.body) as { value: TreeStatus }).value;
    const from = cluster.happenings.length;
    cluster.signal('SIGTTOU');
    const { slot, code } = await cluster.since(from, 'worker.exited');
    assert.deepEqual([slot, code], [nextCulled, 0]);
    return slot;
  };
  /** @returns the slot of the worker that is ready. */
  const readyAfter = async (action: () => void) => {
    const from = cluster.happenings.length;
    action();
    return (await cluster.since(from, 'worker.ready')).slot;
  };
  const add = () => readyAfter(() => cluster.signal('SIGTTIN'));
  const renew = async (slot: number) => {
    const from = cluster.happenings.length;
    process.kill(cluster.pidOf(slot), 'SIGTERM');
    assert.equal((await cluster.since(from, 'worker.ready')).slot, slot);
    await cluster.since(from, 'worker.exited');
  };

  it('by default: the one that was started last goes, and the next takes the lowest free slot', async () => {
    await start();
    assert.equal(await remove(), 2);
    await renew(0);
    assert.equal(await remove(), 0);
    await renew(1);
    assert.deepEqual([await add(), await add(), await add()], [0, 2, 3]);
    assert.equal(await remove(), 3);
  });

  it('oldest: the one that was started first goes', async () => {
    await start('oldest');
    assert.equal(await remove(), 0);
    await renew(1);
    assert.equal(await remove(), 2);
    assert.deepEqual([await add(), await add()], [0, 2]);
    assert.equal(await remove(), 1);
  });

  it('ends, also when it was added in the same turn and is about to be forked', async () => {
    await start();
    cluster.signal('SIGPWR');
    const { pid, slot } = await cluster.nth('worker.forked', 4);
    const { expected, ...gone } = await cluster.nth('worker.exited');
    assert.deepEqual([gone.pid, slot, expected], [pid, 3, true]);
  });

  it('is no longer waited for at the start', async () => {
    cluster = new ClusterProcess('2', 'mute=1');
    await cluster.nth('worker.ready');
    cluster.signal('SIGTTOU');
    await cluster.address();
  });
});
