import assert from 'node:assert/strict';
import { until } from '../support/until';
import { useJobsApp } from './jobs-app';

const JOBS = 10_000;

describe('a batch of 10,000 jobs, of which one in a hundred dies', () => {
  const app = useJobsApp();

  it('has each callback once and the right numbers, while job processors and primaries are killed', async () => {
    const env = { JOB_CONCURRENCY: '10' };
    let tree = await app.start(env);
    const { id } = (await tree.request('POST', `/batch?count=${JOBS}`)).json<{ id: string }>();
    const done = () => new Set(app.entries().flatMap(({ number }) => number ?? []));
    for (const victim of ['jobs', 'primary', 'jobs', 'primary']) {
      const before = done().size;
      await until('some more are done', () => done().size > before + JOBS / 20);
      assert.ok(done().size < (JOBS * 9) / 10, 'it is killed while the batch runs');
      if (victim === 'jobs') {
        const from = tree.lines.length;
        process.kill(tree.processes().jobs ?? assert.fail(), 'SIGKILL');
        await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
      } else {
        await tree.kill9();
        await tree.allGone();
        tree = await app.start(env);
      }
    }
    // A run that a kill has cut off is repeated, but it is the same job.
    const callbacks = () => [
      ...new Map(app.entries().flatMap((entry) => (entry.callback ? [[entry.job, entry] as const] : []))).values(),
    ];
    const told = (event: string) => callbacks().find(({ callback }) => callback === event)?.batch;
    const settled = async () => (await app.unfinished()).length === 0 && told('complete') !== undefined;
    await until('the batch is complete', settled);
    assert.equal(done().size, JOBS - JOBS / 100);
    assert.deepEqual(
      callbacks()
        .map(({ callback }) => callback)
        .sort(),
      ['complete', 'death'],
    );
    const numbers = { total: JOBS, pending: 0, dead: JOBS / 100, done: JOBS - JOBS / 100 };
    assert.deepEqual(told('complete'), { state: 'completed', ...numbers });

    const { retried } = (await tree.request('POST', `/batch/retry?id=${id}`)).json<{ retried: number }>();
    assert.equal(retried, JOBS / 100);
    await until('the batch has succeeded', () => told('success') !== undefined);
    assert.deepEqual(told('success'), { state: 'succeeded', total: JOBS, pending: 0, dead: 0, done: JOBS });
    await until('no job is left', async () => (await app.unfinished()).length === 0);
    assert.equal(done().size, JOBS);
    assert.equal(callbacks().length, 3);
  });
});
