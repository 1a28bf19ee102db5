import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Chores } from './chores';

describe('an uncaught error of a job', () => {
  let chores: Chores;
  beforeEach(async () => {
    chores = await Chores.make();
  });
  afterEach(() => chores.remove());

  it('fails that job, which is retried; the processor and its other jobs continue', async () => {
    const tree = await chores.start({ JOB_CONCURRENCY: '5' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await tree.request('POST', '/strays?kinds=rejection,timer&neighbour=1');
    await until('the neighbour has ended', () => chores.entries().some(({ neighbour }) => neighbour === 'ends'));
    const entries = chores.entries();
    assert.equal(new Set(entries.map(({ pid }) => pid)).size, 1, 'one processor ran them all');
    for (const kind of ['rejection', 'timer']) {
      const runs = entries.filter(({ stray }) => stray === kind);
      assert.deepEqual(
        runs.map(({ attempt, deliveries }) => [attempt, deliveries]),
        [
          [1, 1],
          [2, 1],
        ],
      );
      assert.equal(tree.linesMatching(new RegExp(`StrayJob failed.*stray: ${kind}`)).length, 1);
    }
    assert.equal(entries.filter(({ neighbour }) => neighbour === 'begins').length, 1);
  });

  it('after its end is logged and ends nothing', async () => {
    const tree = await chores.start({ JOB_CONCURRENCY: '5' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await tree.request('POST', '/strays?kinds=late');
    await tree.waitForLine(/stray: late/);
    await tree.request('POST', '/chores?from=1&count=1');
    await until('another job has run', () => chores.entries().some(({ chore }) => chore === 1));
    assert.equal(new Set(chores.entries().map(({ pid }) => pid)).size, 1);
  });

  it('that cannot be attributed to a job ends the process, and the job is dead after three deliveries', async () => {
    const tree = await chores.start({ JOB_CONCURRENCY: '5' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await tree.request('POST', '/strays?kinds=untold');
    await tree.waitForLine(/StrayJob is dead/);
    const runs = chores.entries().filter(({ stray }) => stray === 'untold');
    assert.deepEqual(
      runs.map(({ attempt, deliveries }) => [attempt, deliveries]),
      [
        [1, 1],
        [1, 2],
        [1, 3],
      ],
    );
  });
});
