import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Chores } from './chores';

describe('SIGTERM to a tree that runs two jobs which take a minute', () => {
  let chores: Chores;
  before(async () => {
    chores = await Chores.make();
  });
  after(() => chores.remove());

  const post = async (name: string, tree: Awaited<ReturnType<Chores['start']>>) =>
    assert.equal((await tree.request('POST', `/long?name=${name}`)).status, 202);

  it('returns both to their queue in time, kills nothing, and the next start runs both without counting an attempt', async () => {
    // Part of it is reserved for returning jobs to their queues.
    const env = { SHUTDOWN_TIMEOUT: '12s' };
    const tree = await chores.start(env);
    await post('alone', tree);
    await post('transaction', tree);
    await until('both run', () => chores.longs().length === 2);
    // It would be 1 if a process had been killed at the deadline.
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    assert.equal(tree.linesMatching(/LongJob returned to queue default: the process is stopping/).length, 2);

    const next = await chores.start(env);
    await next.waitForLine(/job processor \(pid \d+\) is ready/);
    await until('both run again', () => chores.longs().length === 4);
    assert.deepEqual(next.linesMatching(/rescued a job of queue \w+ from a process that died/), []);
    assert.deepEqual(
      chores
        .longs()
        .slice(2)
        .map(({ long, attempt }) => [long, attempt])
        .sort(),
      [
        ['alone', 1],
        ['transaction', 1],
      ],
    );
  });
});
