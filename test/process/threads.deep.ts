import assert from 'node:assert/strict';
import { catamount } from '../cli/cli-process';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { useJobsApp } from './jobs-app';

describe('jobs in the threads of a tree', () => {
  const app = useJobsApp();
  const tree = inSuite(undefined, () => app.start({ JOB_CONCURRENCY: '3', JOB_THREADS: '2' }));

  const spinning = () => app.entries().filter(({ spins }) => spins !== undefined);
  const run = (number: number) =>
    until(`${number} has run`, () => app.entries().some((entry) => entry.number === number));

  it('run beside others, with no more connections than its status announces', async () => {
    for (const number of [1, 2]) await tree.request('POST', `/spinning?number=${number}`);
    for (const number of [1, 2]) await run(number);
    await tree.request('POST', '/numbered?from=10&count=2');
    for (const number of [10, 11]) await run(number);
    const told = JSON.parse((await catamount(tree.cwd, ['status', '--json'])).stdout) as {
      readonly tree: { readonly limits: { readonly database_connections: number } };
    };
    // The pools of the worker and the processor, the connection that LISTENs, and the threads.
    assert.equal(told.tree.limits.database_connections, 5 + 4 + 1 + 2);
    const open = await app.connections();
    assert.ok(open <= told.tree.limits.database_connections, `${open} connections`);
  });

  it('run again after kill -9 of their processor, and end when the command line cancels them', async () => {
    const from = tree.lines.length;
    const before = spinning();
    process.kill(tree.processes().jobs ?? assert.fail('no processor'), 'SIGKILL');
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
    await until('both spin again', () => spinning().length === before.length + 2);
    const [dead, living] = [before[0]?.pid, tree.processes().jobs];
    assert.deepEqual(
      spinning().map(({ pid, attempt }) => [pid, attempt]),
      [dead, dead, living, living].map((pid) => [pid, 1]),
    );
    const ids = before.map(({ spins }) => spins ?? '');
    const answer = await app.type('jobs', 'cancel', ...ids);
    assert.equal(answer.code, 0, answer.stderr);
    await until('both have left', async () => (await app.unfinished()).length === 0);
    assert.equal(tree.processes().jobs, living, 'the processor lives on');
    assert.equal(tree.linesMatching(/SpinningJob.*cancelled/).length, 2);
  });
});
