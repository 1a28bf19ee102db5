import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Chores } from './chores';

describe('SIGTERM to a tree with two jobs of a minute in hand', () => {
  let chores: Chores;
  before(async () => {
    chores = await Chores.make();
  });
  after(() => chores.remove());

  const post = async (name: string, tree: Awaited<ReturnType<Chores['start']>>) =>
    assert.equal((await tree.request('POST', `/long?name=${name}`)).status, 202);

  it('both go back in time, nobody is killed, and both run again when it is started anew, no attempt burnt', async () => {
    // Part of it is kept for giving jobs back.
    const env = { SHUTDOWN_TIMEOUT: '12s' };
    const tree = await chores.start(env);
    await post('straight', tree);
    await post('outbox', tree);
    await until('both run', () => chores.longs().length === 2);
    // 1 would say that somebody was killed at the deadline.
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
        ['outbox', 1],
        ['straight', 1],
      ],
    );
  });
});
