import assert from 'node:assert/strict';
import { request } from '../support/http';
import { until } from '../support/until';
import { statsOf } from './operator';
import { Stage } from './stage';

describe('a worker that has come to rest', function () {
  this.timeout(60_000);
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('gives back what its work has left, in a pause that no request sees', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1' });
    const sizeMb = async () => (await statsOf(tree)).worker_status[0]?.last_status.rssMb ?? Number.NaN;
    await until('it has told of itself', async () => (await sizeMb()) > 0);
    let mostMb = 0;
    for (let n = 0; n < 10; n++) {
      const answer = await request(`${tree.baseUrl}/litter`);
      assert.equal(answer.status, 200);
      mostMb = Math.max(mostMb, await sizeMb());
    }
    await until('it tells of the litter', async () => {
      mostMb = Math.max(mostMb, await sizeMb());
      return mostMb > 130;
    });
    await until('it is small again', async () => (await sizeMb()) < mostMb - 30, { timeoutMs: 30_000 });
    assert.equal((await request(`${tree.baseUrl}/slow`)).status, 200);
  });
});
