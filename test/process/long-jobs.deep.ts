import assert from 'node:assert/strict';
import { until } from '../support/until';
import { useJobsApp } from './jobs-app';

describe('SIGTERM to a tree that runs two jobs which take a minute', () => {
  const app = useJobsApp();

  it('returns both to their queue in time, kills nothing, and the next start runs both without counting an attempt', async () => {
    // Part of it is reserved for returning jobs to their queues.
    const env = { SHUTDOWN_TIMEOUT: '12s' };
    const tree = await app.start(env);
    for (const name of ['alone', 'transaction'])
      assert.equal((await tree.request('POST', `/long?name=${name}`)).status, 202);
    await until('both run', () => app.longs().length === 2);
    // It would be 1 if a process had been killed at the deadline.
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    assert.equal(tree.linesMatching(/LongJob returned to queue default: the process is stopping/).length, 2);

    const next = await app.start(env);
    await until('both run again', () => app.longs().length === 4);
    assert.deepEqual(next.linesMatching(/rescued a job of queue \w+ from a process that died/), []);
    const again = app.longs().slice(2);
    assert.deepEqual(again.map(({ long, attempt }) => [long, attempt]).sort(), [
      ['alone', 1],
      ['transaction', 1],
    ]);
  });
});
