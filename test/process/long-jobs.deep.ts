import assert from 'node:assert/strict';
import { TcpProxy } from '../support/tcp-proxy';
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

describe('SIGTERM to a job processor alone, which cannot return its jobs since Postgres is away', () => {
  const app = useJobsApp();

  it('has them run again as soon as Postgres is back, although it exits with 0', async () => {
    const proxy = await TcpProxy.start(app.database.url);
    try {
      const tree = await app.start({ DATABASE_URL: proxy.url, SHUTDOWN_TIMEOUT: '4s' });
      assert.equal((await tree.request('POST', '/long?name=alone')).status, 202);
      const [first] = await until('it runs', () => (app.longs().length > 0 ? app.longs() : undefined));
      await proxy.down();
      process.kill(first?.pid ?? assert.fail(), 'SIGTERM');
      await tree.waitForLine(/job processor \(pid \d+\) stopped/);
      await proxy.up();
      const backAt = performance.now();
      await until('it runs again', () => app.longs().length === 2);
      // Its silence would be noticed after 25 s.
      const afterMs = performance.now() - backAt;
      assert.ok(afterMs < 20_000, `${Math.round(afterMs)} ms`);
    } finally {
      await proxy.down();
    }
  });
});
