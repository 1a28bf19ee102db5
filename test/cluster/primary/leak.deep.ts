import assert from 'node:assert/strict';
import { measureTree } from '../../../lib/cluster/primary/memory-watch';
import { request } from '../../support/http';
import { Load } from '../../support/load';
import { sized } from '../../support/long-form';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

const LIMIT_MB = 512;
/** Above this the largest worker is recycled. */
const PLANNED_MB = LIMIT_MB * 0.85;
/** Size of a small leak. A few of them happen between two checks, which are 2 s apart. */
const LEAK_MB = 2;
/** The small leaks begin this far below PLANNED_MB. */
const NEAR_MB = 30;

/** Samples the memory of the tree. @returns a function that stops sampling and returns the peak, MB. */
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

/** Leaks until it is enough, slowly enough for checks in between. @returns the statuses of the responses. */
async function leak(tree: Tree, enough: () => boolean): Promise<number[]> {
  const ask = async (path: string) => (await request(`${tree.baseUrl}${path}`)).status;
  const room = PLANNED_MB - NEAR_MB - ((await statsOf(tree)).memory.pss_mb ?? 0);
  const statuses = [await ask(`/leak?mb=${Math.max(0, Math.round(room))}`)];
  while (!enough()) statuses.push(await ask(`/leak?mb=${LEAK_MB}`), await ask('/slow?ms=100'));
  return statuses;
}

/** How often a worker is recycled. In the long form the tree has to stay below the limit, whatever else the machine runs. */
const { times, measured } = sized({ times: 1, measured: false }, { times: 4, measured: true });

describe('a leaking worker', () => {
  const app = useSupervisorApp();

  it(`is recycled before the limit, ${times} times, and loses no request`, async function () {
    const tree = await app.start({ MEMORY_LIMIT_MB: String(LIMIT_MB) });
    const stopWatching = watchMemory(tree);
    const leaked: number[] = [];
    // The slots count their recycled workers.
    const recycled = async () =>
      (await statsOf(tree)).worker_status.reduce((sum, { restarts }) => sum + (restarts.memory ?? 0), 0);
    const { failures, answered } = await Load.during(new Load(tree.baseUrl, 4, () => '/slow?ms=50'), async () => {
      for (let n = 1; n <= times; n++) {
        leaked.push(...(await leak(tree, () => tree.linesMatching(/is recycled/).length >= n)));
        await until('the successor serves', async () => (await recycled()) >= n);
      }
    });
    const peakMb = stopWatching();
    assert.deepEqual(failures, {});
    assert.deepEqual(new Set(leaked), new Set([200]));
    if (measured) assert.ok(peakMb < LIMIT_MB, `the tree took ${peakMb} MB of ${LIMIT_MB}`);
    assert.ok(peakMb > PLANNED_MB * 0.9, `the tree took ${peakMb} MB of ${LIMIT_MB}`);
    assert.deepEqual(tree.linesMatching(/killed/), []);
    this.runnable().title += `: the tree took ${Math.ceil(peakMb)} MB of ${LIMIT_MB} at most; ${answered} requests`;
    assert.equal((await tree.stop()).code, 0);
  });
});

describe('a leaking job processor of a tree without workers', () => {
  const app = useSupervisorApp();

  it('is replaced', async () => {
    const web = await app.start({ WEB_CONCURRENCY: '1' }, { args: ['--only', 'web'] });
    const tree = app.spawn({ MEMORY_LIMIT_MB: '256' }, { args: ['--only', 'jobs'] });
    const ready = /job processor \(pid \d+\) is ready/;
    await tree.waitForLine(ready);
    assert.equal((await web.request('POST', '/leaking-job?mb=200')).status, 202);
    await tree.waitForLine(/MB: the job processor \(\d+ MB\) is recycled/);
    await until('the successor is ready', async () => tree.linesMatching(ready).length === 2);
    assert.deepEqual(tree.linesMatching(/killed/), []);
    assert.equal((await tree.stop()).code, 0);
  });
});
