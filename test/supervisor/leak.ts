import assert from 'node:assert/strict';
import { measureTree } from '../../lib/cluster/tree-memory';
import { request } from '../support/http';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { statsOf } from './operator';
import { Stage } from './stage';
import { underLoad } from './under-load';

const LEAK_MB = 2;

/** Samples what the tree takes until it is told to stop. */
function watchMemory(tree: Tree): () => number {
  let peakMb = 0;
  const sample = () => {
    const pids = tree.processes().all.map(({ pid }) => pid);
    peakMb = Math.max(peakMb, measureTree(pids).totalMb ?? 0);
  };
  const timer = setInterval(sample, 100);
  return () => {
    sample();
    clearInterval(timer);
    return peakMb;
  };
}

/** One more leak at a time, at a pace that leaves time to look at the memory between. */
async function leak(tree: Tree, enough: () => boolean): Promise<number[]> {
  const statuses = [];
  while (!enough()) {
    statuses.push((await request(`${tree.baseUrl}/leak?mb=${LEAK_MB}`)).status);
    statuses.push((await request(`${tree.baseUrl}/slow?ms=100`)).status);
  }
  return statuses;
}

/** By their slots' own count. */
async function recycledWorkers(tree: Tree): Promise<number> {
  const { worker_status } = await statsOf(tree);
  return worker_status.reduce((sum, { restarts }) => sum + (restarts.memory ?? 0), 0);
}

/** @param times how often a worker is to be recycled. */
export function leaks(times: number): void {
  describe('a leaking worker', function () {
    this.timeout(60_000 * times);
    let stage: Stage;
    before(async () => {
      stage = await Stage.make();
    });
    after(() => stage.remove());

    it(`is recycled before the limit, ${times} times, and loses no request`, async () => {
      const unlimited = await stage.start();
      const { memory, worker_status } = await statsOf(unlimited);
      await unlimited.stop();
      const workerMb = worker_status[0]?.pss_mb ?? 0;
      const limitMb = Math.ceil((memory.pss_mb ?? 0) + 3 * workerMb);
      const tree = await stage.start({ MEMORY_LIMIT_MB: String(limitMb) });
      const stopWatching = watchMemory(tree);
      const recycled = () => tree.linesMatching(/is recycled/).length;
      const leaked: number[] = [];
      const { failures } = await underLoad(
        tree,
        4,
        () => '/slow?ms=50',
        async () => {
          // Half of the way in one leap, the rest in small steps.
          leaked.push((await request(`${tree.baseUrl}/leak?mb=${Math.round(workerMb / 2)}`)).status);
          leaked.push(...(await leak(tree, () => recycled() >= times)));
          const done = async () => (await recycledWorkers(tree)) >= times;
          await until('every successor serves', done);
        },
      );
      const peakMb = stopWatching();
      assert.deepEqual(failures, {});
      assert.deepEqual(
        leaked.filter((status) => status !== 200),
        [],
      );
      assert.ok(peakMb < limitMb, `the tree took ${peakMb} MB of ${limitMb}`);
      assert.ok(peakMb > limitMb * 0.8, `the tree took ${peakMb} MB of ${limitMb}`);
      assert.deepEqual(tree.linesMatching(/killed/), []);
      assert.equal((await tree.stop()).code, 0);
    });
  });
}
