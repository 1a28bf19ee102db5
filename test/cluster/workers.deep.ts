import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { TreeStatus } from '../../lib/cluster/status';
import { request } from '../support/http';
import { Load } from '../support/load';
import { isRunning } from '../support/processes';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

interface Told {
  readonly value?: unknown;
  readonly name?: string;
  readonly message?: string;
}

describe('two workers', () => {
  let cluster: ClusterProcess;
  let address: string;
  before(async () => {
    cluster = new ClusterProcess('2');
    address = await cluster.address();
  });
  after(() => cluster.end());

  const ask = async (operation: string): Promise<Told> =>
    JSON.parse((await request(`${address}/ask/${operation}`)).body) as Told;

  it('can query the primary about the whole tree, many times at once, and get its errors', async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => ask('status')));
    for (const { value } of all) {
      const { pid, workerStatus } = (value as TreeStatus).stats;
      assert.equal(pid, cluster.pid);
      assert.deepEqual(
        workerStatus.map(({ index, pid }) => [index, pid]),
        [0, 1].map((slot) => [slot, cluster.pidOf(slot)]),
      );
    }
    assert.match(String((await ask('flags')).value), /--max-old-space-size=99/);
    assert.deepEqual(await ask('jobs%20quiet'), { name: 'UserError', message: 'this tree runs no job processor' });
  });

  it('are restarted in their slot when they are killed, and only the requests that they had accepted are cut off', async () => {
    const load = new Load(address, 16, (n) => `/?ms=${n % 10}`);
    for (let killed = 0; killed < 3; killed++) {
      await load.more(100);
      const from = cluster.happenings.length;
      process.kill(cluster.pidOf(killed % 2), 'SIGKILL');
      const { slot, signal, expected } = await cluster.since(from, 'worker.exited');
      assert.deepEqual([slot, signal, expected], [killed % 2, 'SIGKILL', false]);
      assert.equal((await cluster.since(from, 'worker.ready')).slot, slot);
    }
    await load.more(100);
    const { failures } = await load.stop();
    const kinds = Object.keys(failures).filter((kind) => !/^(ECONNRESET|EPIPE)/.test(kind));
    assert.deepEqual(kinds, []);
  });

  it('finish what is in flight on SIGTERM, however often it comes, and exit 0', async () => {
    const slow = await Promise.all([1, 2, 3, 4].map(() => fetch(`${address}/early?ms=700`)));
    for (const pid of [cluster.pid, cluster.pidOf(0), cluster.pidOf(1), cluster.pid]) process.kill(pid, 'SIGTERM');
    for (const answer of slow) assert.match(await answer.text(), /^[01] \d+$/);
    assert.deepEqual(await cluster.ended, { code: 0, signal: null });
    assert.equal(cluster.of('child.killed').length, 0);
  });
});

describe('workers', () => {
  let cluster: ClusterProcess;
  afterEach(() => cluster.end());

  it('that end by themselves in time do not count as killed, although they had to cut a request off', async () => {
    cluster = new ClusterProcess('1', 'shutdown=3000');
    const late = await fetch(`${await cluster.address()}/early?ms=600000`);
    cluster.signal('SIGTERM');
    await assert.rejects(late.text());
    assert.deepEqual(await cluster.ended, { code: 1, signal: null });
    assert.deepEqual([cluster.of('worker.exited')[0]?.code, cluster.of('child.killed')], [1, []]);
    assert.equal((await cluster.nth('stopped')).killed, 0);
  });

  it('finish and exit by themselves when the primary is killed', async () => {
    cluster = new ClusterProcess('2');
    const address = await cluster.address();
    const workers = [cluster.pidOf(0), cluster.pidOf(1)];
    const slow = await fetch(`${address}/early?ms=500`);
    cluster.signal('SIGKILL');
    assert.match(await slow.text(), /^[01] \d+$/);
    await until('the workers are gone', () => workers.every((pid) => !isRunning(pid)));
  });

  it('are started again and again once one has served, however often they die at boot', async () => {
    const file = path.join(tempFolder('spoilt'), 'yes');
    cluster = new ClusterProcess('1', `spoilt=${file}`);
    const address = await cluster.address();
    fs.writeFileSync(file, '');
    const diesAgain = (slot: number) => () =>
      cluster.of('worker.restart-scheduled').filter((each) => each.slot === slot).length > 3;
    cluster.signal('SIGTTIN');
    await until('a new one dies again and again', diesAgain(1));
    await request(`${address}/crash`).catch(() => undefined);
    await until('one that has served does', diesAgain(0));
    removeFolder(path.dirname(file));
    await cluster.nth('worker.ready', 3);
    assert.match((await request(address)).body, /^[01] /);
  });

  it('are restarted at once when they are killed while their predecessor drains', async () => {
    cluster = new ClusterProcess('1');
    const held = new AbortController();
    await fetch(`${await cluster.address()}/early?ms=600000`, { signal: held.signal });
    process.kill(cluster.pidOf(0), 'SIGTERM');
    await cluster.nth('worker.ready', 2);
    process.kill(cluster.pidOf(0), 'SIGKILL');
    await cluster.nth('worker.ready', 3);
    assert.equal(cluster.of('worker.exited').length, 1, 'it still drains');
    held.abort();
  });

  it('that are forked in the moment in which a stop begins are killed', async () => {
    cluster = new ClusterProcess('1');
    await cluster.address();
    cluster.signal('SIGTSTP');
    assert.deepEqual(await cluster.ended, { code: 0, signal: null });
    assert.deepEqual(
      cluster.of('child.killed').map(({ reason }) => reason),
      ['the tree is stopping'],
    );
  });

  it('that cannot boot end the start with their last lines of stderr', async () => {
    cluster = new ClusterProcess('2', 'broken');
    assert.equal((await cluster.ended).code, 78);
    assert.match(cluster.errors, /this app is broken/);
  });

  it('that do not become ready in time are killed and restarted twice, then the start fails', async () => {
    cluster = new ClusterProcess('1', 'mute');
    assert.equal((await cluster.ended).code, 78);
    assert.match(cluster.errors, /worker 0 died 3 times at boot/);
    assert.equal(cluster.of('child.killed').length, 3);
  });
});
