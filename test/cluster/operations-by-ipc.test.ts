import assert from 'node:assert/strict';
import type { TreeStats } from '../../lib/cluster/stats';
import { request } from '../support/http';
import { ClusterProcess } from './cluster-process';

interface Told {
  readonly value?: unknown;
  readonly name?: string;
  readonly message?: string;
}

describe('what a worker asks of the whole tree', () => {
  let cluster: ClusterProcess;
  let address: string;
  before(async () => {
    cluster = new ClusterProcess('2');
    address = await cluster.address();
  });
  after(() => cluster.end());

  const ask = async (operation: string, argument = 0): Promise<Told> =>
    JSON.parse((await request(`${address}/ask/${operation}/${argument}`)).body) as Told;

  it('is answered by the primary', async () => {
    const { value } = await ask('stats');
    const stats = value as TreeStats;
    assert.equal(stats.pid, cluster.pid);
    assert.deepEqual(
      stats.worker_status.map(({ index, pid }) => [index, pid]),
      [0, 1].map((slot) => [slot, cluster.pidOf(slot)]),
    );
  });

  it('is answered to each who asked, many at once', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => ask('stats')));
    assert.equal(new Set(all.map(({ value }) => (value as TreeStats).pid)).size, 1);
  });

  it('is done, or refused in the words of the primary', async () => {
    assert.deepEqual(await ask('scale', 1), { value: 3 });
    assert.deepEqual(await ask('scale', -1), { value: 2 });
    const refused = await ask('quietJobs');
    assert.equal(refused.name, 'UserError');
    assert.equal(refused.message, 'this tree runs no job processor');
  });
});
