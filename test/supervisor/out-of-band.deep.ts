import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { request } from '../support/http';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { statsOf } from './operator';
import { Stage } from './stage';

describe('a worker that has come to rest', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('gives back what its work has left, in a pause that no request sees', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1' });
    const sizeMb = async () => (await statsOf(tree)).worker_status[0]?.last_status.rssMb ?? Number.NaN;
    await until('it has told of itself', async () => (await sizeMb()) > 0);
    const restingMb = await sizeMb();
    let mostMb = restingMb;
    await until('it tells of litter', async () => {
      const answer = await request(`${tree.baseUrl}/litter`);
      assert.equal(answer.status, 200);
      mostMb = Math.max(mostMb, await sizeMb());
      return mostMb > restingMb + 15;
    });
    await until('it is small again', async () => {
      const now = await sizeMb();
      mostMb = Math.max(mostMb, now);
      return now < mostMb - 10;
    });
    assert.equal((await request(`${tree.baseUrl}/slow`)).status, 200);
  });

  it('has its primary collect, too', async () => {
    const observer = path.join(tempFolder('observer'), 'observer.js');
    fs.writeFileSync(observer, OBSERVER);
    const tree = await stage.start({ WEB_CONCURRENCY: '1', NODE_OPTIONS: `--require ${observer}` });
    await tree.waitForLine(new RegExp(`^${tree.pid} was told to collect`));
  });
});

/** Tells of each collection that did not come by itself. */
const OBSERVER = `
const { constants, PerformanceObserver } = require('node:perf_hooks');
const asked = constants.NODE_PERFORMANCE_GC_FLAGS_FORCED | constants.NODE_PERFORMANCE_GC_FLAGS_ALL_AVAILABLE_GARBAGE;
new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries()) if (detail.flags & asked) console.log(process.pid + ' was told to collect');
}).observe({ entryTypes: ['gc'] });
`;
