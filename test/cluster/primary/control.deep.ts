import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { readTree } from '../../../lib/cluster/control/commands';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

/** Types a command that succeeds. @returns what it prints. */
const typed = async (tree: Tree, ...words: string[]) => {
  const { code, stdout, stderr } = await catamount(tree.cwd, ...words);
  assert.equal(code, 0, stderr);
  return stdout;
};
const pids = async (tree: Tree) => (await statsOf(tree)).worker_status.map(({ pid }) => pid);

/**
 * Each command once, by any of its ways. That the socket, signals and the command line call the same operations:
 * test/cluster/control and test/cli/control.test.ts.
 */
describe('an operator of a whole tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    tree = await app.start({ WEB_CONCURRENCY: '1' });
  });

  it('adds and removes workers, but not the last one', async () => {
    for (const [command, count] of [
      ['worker-count-up', 2],
      ['worker-count-down', 1],
    ] as const) {
      await order(tree, command);
      await until(`there are ${count} workers`, async () => {
        const { workers, booted_workers, worker_status } = await statsOf(tree);
        return workers === count && booted_workers === count && worker_status.length === count;
      });
    }
    await assert.rejects(order(tree, 'worker-count-down'), /only one worker left/);
  });

  it('changes how many requests each worker serves at once, also a later one, within the bounds of MAX_THREADS', async () => {
    const threads = async () => (await statsOf(tree)).worker_status.map((each) => each.last_status.max_threads);
    const settle = (wanted: number) =>
      until(`a worker has ${wanted}`, async () => String(await threads()) === `${wanted}`);
    await settle(5);
    assert.match(
      await typed(tree, 'max-threads', '9'),
      /done; each worker has 5 connections to Postgres.*DATABASE_POOL/,
    );
    await settle(9);
    const [first] = await pids(tree);
    await order(tree, 'recycle', 0);
    await until('its successor serves', async () => !(await pids(tree)).includes(first ?? 0));
    await settle(9);
    for (const count of [0, 1001]) await assert.rejects(order(tree, 'max-threads', count), /from 1 to 1000 .* not \d+/);
    assert.equal(await typed(tree, 'max-threads', '5'), 'max-threads: done\n');
    await settle(5);
    assert.equal(readTree(await order(tree, 'status')).limits.maxThreads, 5);
  });

  it('restarts all workers', async () => {
    const first = await pids(tree);
    process.kill(tree.pid, 'SIGUSR2');
    await until('the phase is complete', async () => (await statsOf(tree)).last_phase?.phase === 1);
    const all = [first, await pids(tree)].flat();
    assert.equal(new Set(all).size, all.length);
  });

  it('halts a tree at once, also during a stop that waits for a request; PID_FILE names it until then', async () => {
    const release = app.switchOn('hold');
    const halted = await app.start({ WEB_CONCURRENCY: '1', PID_FILE: '.catamount/shop.pid' });
    const pidFile = path.join(halted.cwd, '.catamount/shop.pid');
    assert.equal(fs.readFileSync(pidFile, 'utf8'), `${halted.pid}\n`);
    const held = halted.request('GET', '/held').catch((error: NodeJS.ErrnoException) => error.code);
    await halted.request('POST', '/waiting-job?name=long&flag=hold');
    await until('the job runs', () => app.notes('jobs').some(({ does }) => does === 'begins'));
    await order(halted, 'stop');
    await halted.waitForLine(/asked to stop: stopping/);
    process.kill(halted.pid, 'SIGQUIT');
    assert.equal((await halted.end()).code, 1);
    assert.equal(await held, 'ECONNRESET');
    await halted.allGone();
    assert.equal(fs.existsSync(pidFile), false);
    release();
    const next = await app.start({ WEB_CONCURRENCY: '1' });
    await until('its job runs again and ends', () => app.notes('jobs').some(({ does }) => does === 'ends'));
    await typed(next, 'halt');
    assert.equal((await next.end()).code, 1);
    await next.allGone();
  });

  it('is told that the tree of a state file has ended, starts it again, and stops it', async () => {
    await tree.kill9();
    await tree.allGone();
    const { code, stderr } = await catamount(tree.cwd, 'status');
    assert.deepEqual([code, /state file .* names pid \d+, which has ended/.test(stderr)], [69, true], stderr);
    const ending = await app.start({ WEB_CONCURRENCY: '1' }, { cwd: tree.cwd });
    assert.match((await catamount(tree.cwd, 'status')).stdout, new RegExp(`pid ${ending.pid}`));
    await typed(ending, 'stop');
    assert.equal((await ending.end()).code, 0);
    await ending.allGone();
    assert.equal(fs.existsSync(path.join(ending.cwd, '.catamount/state.json')), false);
  });
});
