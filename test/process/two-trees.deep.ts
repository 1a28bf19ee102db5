import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useJobsApp } from './jobs-app';

const PER_BATCH = 50;
const LEAST_BATCHES = 4;
/** An empty variable is unset. */
const WITHOUT_REDIS = { REDIS: 'off', REDIS_URL: '' };

for (const [title, env] of [
  ['on one Redis and one Postgres', {}],
  ['on one Postgres, without Redis', WITHOUT_REDIS],
] as const)
  describe(`two trees ${title}`, () => {
    const app = useJobsApp();
    let living: Tree;

    const post = async (tree: Tree, target: string) => assert.equal((await tree.request('POST', target)).status, 202);
    const start = (more: Readonly<Record<string, string>> = {}) => app.start({ ...env, ...more });
    const numbers = () => app.entries().filter(({ number }) => number !== undefined);

    before(async () => {
      if (env === WITHOUT_REDIS) living = await start();
    });

    // job/dispatch/dispatcher.test.ts shows that a dispatcher without Redis notices a silent process.
    if (env !== WITHOUT_REDIS)
      it('one is killed while it runs two jobs: the other notices its silence and runs them without counting an attempt', async () => {
        const killed = await start();
        await post(killed, '/long?name=alone');
        await post(killed, '/long?name=transaction');
        await until('it runs both', () => app.longs().length === 2);
        living = await start({ JOB_CONCURRENCY: '4' });
        killed.killAll();
        await until('both run on the other', () => app.longs().length === 4);
        assert.equal(living.linesMatching(/rescued a job of queue \w+ from a process that died/).length, 2);
        const again = app.longs().slice(2);
        assert.deepEqual(again.map(({ long, attempt }) => [long, attempt]).sort(), [
          ['alone', 1],
          ['transaction', 1],
        ]);
        assert.deepEqual([...new Set(again.map(({ pid }) => pid))], [living.processes().jobs]);
      });

    it('each job runs once, on one or the other', async () => {
      const second = await start();
      let posted = 0;
      await until('both have run some', async () => {
        const batch = posted / PER_BATCH;
        if (batch >= LEAST_BATCHES && new Set(numbers().map(({ pid }) => pid)).size === 2) return true;
        await post(batch % 2 === 0 ? living : second, `/numbered?from=${posted}&count=${PER_BATCH}`);
        posted += PER_BATCH;
        return false;
      });
      await until('all are done', () => numbers().length >= posted);
      // The long ones are still running.
      const settled = async () => (await app.unfinished()).every((name) => name === 'LongJob');
      await until('their rows have been deleted', settled);
      assert.deepEqual(
        numbers()
          .map(({ number = -1 }) => number)
          .sort((a, b) => a - b),
        Array.from({ length: posted }, (_, number) => number),
      );
      await second.stop();
    });

    it(`each tick of a recurring job is enqueued once${env === WITHOUT_REDIS ? '' : ', although a tree was killed'}`, async () => {
      const ticks = () => app.entries().flatMap(({ tick, job }) => (tick === undefined ? [] : [`${tick} ${job}`]));
      const { length } = ticks();
      await until('some more have run', () => ticks().length >= length + 3);
      // A tick that the killed tree was running may have run twice, but it is still one job.
      const times = [...new Set(ticks())].map((entry) => entry.split(' ')[0]);
      assert.deepEqual([...new Set(times)], times);
      if (env === WITHOUT_REDIS)
        assert.deepEqual(
          living.linesMatching(({ text }) => /redis/i.test(text) && !text.includes('Redis off')),
          [],
        );
    });
  });
