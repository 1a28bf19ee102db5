import assert from 'node:assert/strict';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { useJobsApp } from './jobs-app';

describe('an uncaught error of a job', () => {
  const app = useJobsApp();
  const tree = inSuite(undefined, () => app.start({ JOB_CONCURRENCY: '5' }));

  const runsOf = (kind: string) =>
    app
      .entries()
      .filter(({ stray }) => stray === kind)
      .map(({ attempt, deliveries }) => [attempt, deliveries]);
  const processors = () => new Set(app.entries().map(({ pid }) => pid)).size;

  it('fails that job, which is retried; the processor and its other jobs continue', async () => {
    await tree.request('POST', '/strays?kinds=rejection,timer&neighbour=1');
    await until('the neighbour has ended', () => app.entries().some(({ neighbour }) => neighbour === 'ends'));
    assert.equal(processors(), 1, 'one processor ran them all');
    for (const kind of ['rejection', 'timer']) {
      assert.deepEqual(runsOf(kind), [
        [1, 1],
        [2, 1],
      ]);
      assert.equal(tree.linesMatching(new RegExp(`StrayJob failed.*stray: ${kind}`)).length, 1);
    }
    assert.equal(app.entries().filter(({ neighbour }) => neighbour === 'begins').length, 1);
  });

  it('after its end is logged and ends nothing', async () => {
    await tree.request('POST', '/strays?kinds=late');
    await tree.waitForLine(/stray: late/);
    await tree.request('POST', '/numbered?from=1&count=1');
    await until('another job has run', () => app.entries().some(({ number }) => number === 1));
    assert.equal(processors(), 1);
  });

  it('that cannot be attributed to a job ends the process, and the job is dead after three deliveries', async () => {
    await tree.request('POST', '/strays?kinds=untold');
    await tree.waitForLine(/StrayJob is dead/);
    assert.deepEqual(runsOf('untold'), [
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
  });
});
