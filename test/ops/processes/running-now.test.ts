import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Deadline } from '../../../lib/support/async';
import { TREES, treeStatusKey } from '../../../lib/tree/tree-commands';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';
import { textOf } from '../jobs/visitor';
import { OpsWeb } from '../ops-web';
import { processorOf, statusOf, treeStatusOf, workerOf } from '../overview/tree-statuses';

describe('what runs now', () => {
  let ops: OpsWeb;
  let redis: Redis;
  before(async () => {
    ops = await OpsWeb.start();
    redis = new Redis(ops.redis.url, new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
  });
  after(async () => {
    await redis?.stop(Deadline.after(WAIT_LIMIT_MS));
    await ops?.stop();
  });

  it('leads to the page of each job', async () => {
    const job = { what: 'Report on time on odd-queue', id: 'job/7', ageMs: 12_000 };
    const request = { what: 'GET /reports on paper', id: 'req-1', ageMs: 5 };
    const lastStatus = { ...processorOf().lastStatus, inFlight: [job] } as ReturnType<typeof processorOf>['lastStatus'];
    const treeStatus = treeStatusOf({
      id: 'far',
      at: new Date().toISOString(),
      workers: [workerOf(0, { lastStatus: statusOf({ inFlight: [request] }) })],
      jobs: processorOf({ lastStatus }),
    });
    await redis.client.set(treeStatusKey('far'), JSON.stringify(treeStatus));
    await redis.client.zAdd(TREES, { value: 'far', score: Date.now() + 3_600_000 });
    const { body } = await until('the tree is known', async () => {
      const answer = await ops.get('/ops/processes?tree=far');
      return answer.status === 200 && answer;
    });
    assert.match(textOf(body), /Running now What Where For .* Report on time on odd-queue Jobs 12 s Job job\/7/);
    assert.match(body, /<a href="\/ops\/jobs\/job\/odd-queue\/job%2F7">Report on time on odd-queue<\/a>/);
    assert.match(body, /class="mono">\s*GET \/reports on paper\s*<\/th>/);
  });
});
