import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { Chores } from './chores';

const PER_BATCH = 50;
const LEAST_BATCHES = 4;

describe('two trees on one Redis and one Postgres', () => {
  let chores: Chores;
  let living: Tree;
  before(async () => {
    chores = await Chores.make();
  });
  after(() => chores.remove());

  const post = async (tree: Tree, target: string) => assert.equal((await tree.request('POST', target)).status, 202);

  it('one is killed while it runs two jobs: the other notices its silence and runs them without counting an attempt', async () => {
    const doomed = await chores.start();
    await post(doomed, '/long?name=alone');
    await post(doomed, '/long?name=transaction');
    await until('it runs both', () => chores.longs().length === 2);
    living = await chores.start({ JOB_CONCURRENCY: '4' });
    await living.waitForLine(/job processor \(pid \d+\) is ready/);
    // All processes at once, as when a machine fails, so that the processor cannot notice the death of its primary.
    const { jobs, all } = doomed.processes();
    for (const pid of [jobs, ...all.map((row) => row.pid)]) if (pid !== undefined) killNow(pid);
    await until('both run on the other', () => chores.longs().length === 4);
    assert.equal(living.linesMatching(/rescued a job of queue \w+ from a process that died/).length, 2);
    const again = chores.longs().slice(2);
    assert.deepEqual(again.map(({ long, attempt }) => [long, attempt]).sort(), [
      ['alone', 1],
      ['transaction', 1],
    ]);
    assert.deepEqual([...new Set(again.map(({ pid }) => pid))], [living.processes().jobs]);
  });

  it('each job runs once, on one or the other', async () => {
    const second = await chores.start();
    await second.waitForLine(/job processor \(pid \d+\) is ready/);
    const done = () => chores.entries().filter(({ chore }) => chore !== undefined);
    let posted = 0;
    await until('both have run some', async () => {
      const batch = posted / PER_BATCH;
      if (batch >= LEAST_BATCHES && new Set(done().map(({ pid }) => pid)).size === 2) return true;
      await post(batch % 2 === 0 ? living : second, `/chores?from=${posted}&count=${PER_BATCH}`);
      posted += PER_BATCH;
      return false;
    });
    await until('all chores are done', () => done().length >= posted);
    // The long ones are still running.
    const settled = async () => (await chores.unfinished()).every((name) => name === 'LongJob');
    await until('their rows have been deleted', settled);
    const numbers = done().map(({ chore = -1 }) => chore);
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      Array.from({ length: posted }, (_, number) => number),
    );
    await second.stop();
  });

  it('each tick of a recurring job is enqueued once, although a tree was killed', async () => {
    const ticks = () => chores.entries().flatMap(({ tick, job }) => (tick === undefined ? [] : [`${tick} ${job}`]));
    const { length } = ticks();
    await until('some more have run', () => ticks().length >= length + 3);
    // A tick that the killed tree was running may have run twice, but it is still one job.
    const jobs = [...new Set(ticks())];
    const times = jobs.map((entry) => entry.split(' ')[0]);
    assert.deepEqual([...new Set(times)], times);
  });
});

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended already.
  }
}
