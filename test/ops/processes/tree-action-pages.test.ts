import assert from 'node:assert/strict';
import type { TreeStatus } from '../../../lib/cluster/status';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';
import { PublishedTrees } from '../overview/published-trees';
import { processorOf, statusOf, treeStatusOf, workerOf } from '../overview/tree-statuses';
import { textOf } from '../page-view';

describe('what the processes of a tree do, and the commands to it,', () => {
  const ops = inSuite('stop', () => OpsWeb.start(SIGNED));
  const operator = inSuite(undefined, async () => ({ Cookie: await ops.signIn(SIGNED.OPS_PASSWORD) }));

  const tell = (treeStatus: TreeStatus) => new PublishedTrees(ops.redis).publish(treeStatus, -3_600_000);

  it('link running jobs to their pages', async () => {
    const job = {
      what: 'Report on time on odd-queue',
      job: { class: 'Report on time', queue: 'odd-queue' },
      id: 'job/7',
      ageMs: 12_000,
    };
    const request = { what: 'GET /reports on paper', id: 'req-1', ageMs: 5 };
    const lastStatus = { ...processorOf().lastStatus, inFlight: [job] } as ReturnType<typeof processorOf>['lastStatus'];
    const treeStatus = treeStatusOf({
      id: 'far',
      at: new Date().toISOString(),
      workers: [workerOf(0, { lastStatus: statusOf({ inFlight: [request] }) })],
      jobs: processorOf({ lastStatus }),
    });
    await tell(treeStatus);
    const { body } = await until('the tree is known', async () => {
      const answer = await ops.get('/ops?tree=far', operator);
      return answer.status === 200 && answer;
    });
    assert.match(textOf(body), /Running now What Where For .* Report on time on odd-queue Jobs 12 s Job job\/7/);
    assert.match(body, /<a href="\/ops\/jobs\/job\/odd-queue\/job%2F7">Report on time on odd-queue<\/a>/);
    assert.match(body, /class="mono">\s*GET \/reports on paper\s*<\/th>/);
  });

  it('offer the commands that are possible now, not those of an outdated status', async () => {
    const at = new Date().toISOString();
    await tell(treeStatusOf({ id: 'near', at }));
    const resume = () => ops.get('/ops/processes/resume?tree=near', operator);
    await until('the tree is known', async () => (await resume()).status === 409);
    await tell(treeStatusOf({ id: 'near', at, jobs: processorOf({ state: 'quiet' }) }));
    // The operator may already have seen, on a page of another worker, that the jobs are quiet.
    const { status, body } = await resume();
    assert.equal(status, 200, textOf(body));
    assert.match(body, /Resume the jobs of web\.1/);
  });
});
