import assert from 'node:assert/strict';
import { Load } from '../../support/load';
import { sized } from '../../support/long-form';
import type { Tree } from '../../support/tree';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

/** A load ends by itself after some minutes, so many restarts are spread over several loads. */
const PER_LOAD = 4;
const TIMES = sized(2, 20);

/** Half of the connections are kept alive, half are opened for each request. */
describe(`${TIMES} phased restarts in a row under load`, () => {
  const app = useSupervisorApp();

  for (const count of [1, 2]) {
    it(`lose no request of ${count === 1 ? 'a single worker' : `${count} workers`}`, async function () {
      const tree = await app.start({ WEB_CONCURRENCY: String(count) });
      let requests = 0;
      for (let done = 0; done < TIMES; done += PER_LOAD) {
        const result = await Load.during(
          new Load(tree.baseUrl, 10, (n) => `/slow?ms=${20 + (n % 40)}`),
          async (load) => {
            for (let n = done + 1; n <= Math.min(done + PER_LOAD, TIMES); n++) await restart(tree, n, load);
            await load.more(30);
          },
        );
        assert.deepEqual(result.failures, {});
        requests += result.answered;
      }
      assert.ok(requests > TIMES * 30, `${requests} requests`);
      this.runnable().title += `: ${requests} requests`;
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
    });
  }
});

async function restart(tree: Tree, n: number, load: Load): Promise<void> {
  const pidsOf = async () => {
    const { worker_status, job_processor } = await statsOf(tree);
    return [job_processor.pid, ...worker_status.map(({ pid }) => pid)];
  };
  const old = await pidsOf();
  await load.more(30);
  await order(tree, 'phased-restart');
  const { phase, old_workers, last_phase } = await statsOf(tree);
  assert.deepEqual([phase, old_workers, last_phase?.completed], [n, 0, true]);
  assert.deepEqual(
    (await pidsOf()).filter((pid) => old.includes(pid)),
    [],
  );
}
