import assert from 'node:assert/strict';
import { top } from '../../../lib/cli/top/top';
import { Emulator } from '../../cli/top/emulator';
import type { Tree } from '../../support/tree';
import { catamount, catamountWith, stateOf, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('catamount top of a whole tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    tree = await app.start();
  });

  it('prints everything once when its output is a pipe', async () => {
    await tree.request('POST', '/dying-job');
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    const { code, stdout, stderr } = await catamount(tree.cwd, 'top');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^supervised on .*, pid \d+, up .*, phase 0/);
    assert.match(stdout, /^ {2}web 1 +\d+ +ready +0\/5 +0 +\d.* \d+ ms +\d+ % +\d+ MB +0$/m);
    assert.match(stdout, /^ {2}jobs +\d+ +ready +0\/2 /m);
    assert.match(stdout, /worker 0 \(pid \d+\) is ready after [\d.]+ m?s/);
    assert.equal((await catamount(tree.cwd, 'top', 'surplus')).code, 64);
  });

  it('shows queues and sets when it has the settings of the tree', async () => {
    const { database, redis } = app;
    const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    const { stdout } = await catamountWith(env, tree.cwd, 'top');
    assert.match(stdout, /^ {2}default +0 +0 +0 +0 ms {2}open$/m);
    assert.match(stdout, /^Retry 0, scheduled 0, dead 1$/m);
  });

  it('recycles a worker and quiets jobs by its keys', async () => {
    const emulator = new Emulator(100, 40);
    const ended = top({ state: `${tree.cwd}/.catamount/state.json` }, emulator.stage());
    await emulator.shows(/^› web 0 /m);
    const [before] = (await statsOf(tree)).worker_status;
    emulator.type('r');
    await emulator.shows(/Recycle worker 0\?/);
    emulator.type('y');
    await emulator.shows(/Worker 0 has been replaced/);
    const [after] = (await statsOf(tree)).worker_status;
    assert.notEqual(after?.pid, before?.pid);
    await emulator.shows(new RegExp(`^› web 0 +${after?.pid} +ready`, 'm'));
    await emulator.shows(/recycle 0 requested by the control socket/);
    emulator.type('p');
    await emulator.shows(/^ {2}jobs +\d+ +quiet /m);
    await emulator.shows(/^ {2}Jobs are quiet: no more are started/m);
    emulator.type('p');
    await emulator.shows(/^ {2}jobs +\d+ +ready /m);
    emulator.type('q');
    await ended;
    assert.ok(stateOf(tree).pid > 0);
  });
});
