import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, type Printed, stateOf, statsOf } from './operator';
import { Stage } from './stage';

type Way = (tree: Tree) => Promise<unknown>;

const bySocket =
  (name: string, argument?: number): Way =>
  (tree) =>
    order(tree, name, argument);
const byCli =
  (...words: string[]): Way =>
  async (tree) => {
    const typed = await catamount(tree.cwd, ...words);
    assert.equal(typed.code, 0, typed.stderr);
    return typed;
  };
const bySignal =
  (signal: NodeJS.Signals): Way =>
  async (tree) =>
    process.kill(tree.pid, signal);

const pids = async (tree: Tree) => (await statsOf(tree)).worker_status.map(({ pid }) => pid);
const workersAre = (tree: Tree, count: number) =>
  until(`there are ${count} workers`, async () => {
    const { workers, booted_workers, worker_status } = await statsOf(tree);
    return workers === count && booted_workers === count && worker_status.length === count;
  });
const quiet = async (tree: Tree) => (await statsOf(tree)).job_processor.state === 'quiet';

describe('an operator', () => {
  let stage: Stage;
  let tree: Tree;
  before(async () => {
    stage = await Stage.make();
    tree = await stage.start({ WEB_CONCURRENCY: '1' });
  });
  after(() => stage.remove());

  it('adds and removes workers by the socket, the command line and signals', async () => {
    const ways: readonly (readonly [Way, Way])[] = [
      [bySocket('worker-count-up'), bySocket('worker-count-down')],
      [byCli('worker-count-up'), byCli('worker-count-down')],
      [bySignal('SIGTTIN'), bySignal('SIGTTOU')],
    ];
    for (const [up, down] of ways) {
      await up(tree);
      await workersAre(tree, 2);
      await down(tree);
      await workersAre(tree, 1);
    }
    await assert.rejects(order(tree, 'worker-count-down'), /only one worker left/);
    assert.equal((await catamount(tree.cwd, 'worker-count-down')).code, 1);
  });

  it('restarts all workers by the command line, the socket and a signal, phased or at once', async () => {
    const first = await pids(tree);
    await byCli('phased-restart')(tree);
    const second = await pids(tree);
    await bySignal('SIGUSR2')(tree);
    await until('the phase is complete', async () => (await statsOf(tree)).last_phase?.phase === 2);
    const third = await pids(tree);
    await byCli('restart')(tree);
    const fourth = await pids(tree);
    await bySocket('restart')(tree);
    const all = [first, second, third, fourth, await pids(tree)].flat();
    assert.equal(new Set(all).size, all.length);
  });

  it('quiets jobs by the socket, the command line and a signal, and resumes them', async () => {
    await until('jobs run', async () => (await statsOf(tree)).job_processor.state === 'ready');
    const ways: readonly (readonly [Way, Way])[] = [
      [bySocket('jobs quiet'), bySocket('jobs resume')],
      [byCli('jobs', 'quiet'), byCli('jobs', 'resume')],
      [bySignal('SIGTSTP'), bySocket('jobs resume')],
    ];
    for (const [hush, resume] of ways) {
      await hush(tree);
      await until('jobs are quiet', () => quiet(tree));
      await resume(tree);
      assert.equal((await statsOf(tree)).job_processor.state, 'ready');
    }
  });

  it('reads stats and status', async () => {
    const { stdout } = (await byCli('stats', '--json')(tree)) as Printed;
    const { workers, pid, versions } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([workers, pid], [1, tree.pid]);
    assert.deepEqual(versions, (await order(tree, 'stats')).versions);
    assert.match(((await byCli('stats')(tree)) as Printed).stdout, new RegExp(`${tree.pid}`));
    // This shell lacks the tree's settings, so not all can be read.
    const { code, stdout: told } = await catamount(tree.cwd, 'status');
    assert.equal(code, 1);
    assert.match(told, /^Catamount runs: pid \d+, phase \d+, 1 of 1 workers/);
    assert.equal((await order(tree, 'status')).pid, tree.pid);
  });

  it('is rejected without the token, and when there is no log file to reopen', async () => {
    const refused = await catamount(tree.cwd, 'stop', '--token', 'guessed', '--socket', stateOf(tree).controlSocket);
    assert.deepEqual([refused.code, /token is missing or wrong/.test(refused.stderr)], [1, true]);
    const status = await new Promise((resolve, reject) => {
      const { controlSocket: socketPath } = stateOf(tree);
      http.get({ socketPath, path: '/stats' }, (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    assert.equal(status, 403);
    await assert.rejects(order(tree, 'reopen-log'), /no log file to reopen/);
    assert.equal(tree.hasExited, false);
    const { mode } = fs.statSync(stateOf(tree).controlSocket);
    assert.equal(mode & 0o777, 0o600);
  });

  it('is told that the tree of a state file has ended', async () => {
    const left = fs.readFileSync(path.join(tree.cwd, '.catamount/state.json'));
    await tree.kill9();
    await tree.allGone();
    assert.deepEqual(fs.readFileSync(path.join(tree.cwd, '.catamount/state.json')), left);
    const { code, stderr } = await catamount(tree.cwd, 'status');
    assert.deepEqual([code, /state file .* names pid \d+, which has ended/.test(stderr)], [69, true], stderr);
  });

  for (const [name, way, codes] of [
    ['stop by the command line', byCli('stop'), [0]],
    ['stop by SIGINT', bySignal('SIGINT'), [0]],
  ] as const) {
    it(`starts the tree again and ends it: ${name}`, async () => {
      const ending = await stage.start({ WEB_CONCURRENCY: '1' }, { cwd: tree.cwd });
      assert.match((await catamount(tree.cwd, 'status')).stdout, new RegExp(`pid ${ending.pid}`));
      await way(ending);
      assert.ok((codes as readonly (number | null)[]).includes((await ending.end()).code));
      await ending.allGone();
      assert.equal(fs.existsSync(path.join(ending.cwd, '.catamount/state.json')), false);
    });
  }
});
