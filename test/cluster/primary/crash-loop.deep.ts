import assert from 'node:assert/strict';
import { Load } from '../../support/load';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a job processor that dies again and again', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    tree = await app.start({ WEB_CONCURRENCY: '1', LOG_LEVEL: 'debug' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
  });

  it('does not affect the web, and /ready reports it, of a new worker, too', async () => {
    const gateway = new Load(tree.baseUrl, 8, () => '/slow?ms=20', { routed: true, whenRefused: 'try again' });
    const mend = app.switchOn('jobs-crash');
    try {
      await gateway.more(30);
      // A phased restart would keep the healthy processor.
      process.kill((await statsOf(tree)).job_processor.pid ?? 0, 'SIGKILL');
      const open = async () => (await statsOf(tree)).job_processor.state === 'crash_loop';
      await until('it is in a crash loop', open);
      for (const of of ['the worker', 'its successor']) {
        const ready = await tree.request('GET', '/ready');
        const stalled = { broken: ['jobs'], jobs: 'stalled', reason: 'the job processor is not running' };
        assert.equal(ready.status, 200);
        assert.deepEqual(ready.json(), { status: 'degraded', app: 'supervised', ...stalled }, of);
        if (of === 'the worker') await order(tree, 'recycle', 0);
      }
      await gateway.more(30);
    } finally {
      mend();
      await gateway.stop();
    }
    assert.deepEqual(gateway.failures, {});
  });

  it('is brought back at once by a phased restart when the fault is repaired', async () => {
    await order(tree, 'phased-restart');
    const healthy = async () => (await tree.request('GET', '/ready')).json().status === 'ok';
    await until('/ready reports ok', healthy);
    const { state, restarts } = (await statsOf(tree)).job_processor;
    assert.ok(state === 'ready' && restarts >= 5, `${state}, ${restarts} restarts`);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
