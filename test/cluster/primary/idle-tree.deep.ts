import assert from 'node:assert/strict';
import { request } from '../../support/http';
import { until } from '../../support/until';
import { useSupervisorApp } from './supervisor-app';

const IDLE_S = 5;

describe('a tree with IDLE_TIMEOUT', () => {
  const app = useSupervisorApp();

  it('ends when it has had nothing to do for that long, though it is probed, but not while a job runs', async () => {
    const release = app.switchOn('hold');
    const tree = await app.start({ WEB_CONCURRENCY: '1', IDLE_TIMEOUT: `${IDLE_S}s` });
    assert.equal((await tree.request('POST', '/waiting-job?name=long&flag=hold')).status, 202);
    const begins = () => app.notes('jobs').some(({ does }) => does === 'begins');
    await until('the job runs', begins);
    const since = performance.now();
    await until('the tree would have ended', () => performance.now() - since > 2 * IDLE_S * 1000);
    assert.equal((await tree.request('GET', '/health')).status, 200);
    release();
    let probes = 0;
    await until('the tree has ended', async () => {
      await request(`${tree.baseUrl}/health`).then(
        () => probes++,
        () => undefined,
      );
      return tree.hasExited;
    });
    assert.deepEqual(await tree.exited, { code: 0, signal: null });
    assert.equal(tree.linesMatching(/no request and no job for 5 s \(IDLE_TIMEOUT\)/).length, 1);
    assert.ok(probes > 0);
    await tree.allGone();
  });
});
