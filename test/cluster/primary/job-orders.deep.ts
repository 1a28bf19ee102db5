import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { type ListedProcess, ProcessList } from '../../../lib/job/processes/process-list';
import { Deadline } from '../../../lib/support/async';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('commands for the job processor', () => {
  const app = useSupervisorApp();
  let redis: Redis;
  let processes: ProcessList;
  before(async () => {
    redis = new Redis(app.redis.url, new Events());
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    processes = new ProcessList(redis.client);
  });
  after(async () => {
    await redis.stop(Deadline.after(60_000));
  });

  const processorOf = async (tree: Tree) => (await statsOf(tree)).job_processor;
  const stateIs = (tree: Tree, state: string) =>
    until(`the processor is ${state}`, async () => {
      const processor = await processorOf(tree);
      return processor.state === state && processor;
    });
  const listed = async (tree: Tree): Promise<ListedProcess> => {
    const { pid } = await stateIs(tree, 'ready');
    return until('it is listed', async () => (await processes.list()).find((one) => one.pid === pid));
  };

  it('outlive its process: a quiet processor that crashes is restarted quiet', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const { identity } = await listed(tree);
    assert.equal(await processes.send(identity, 'quiet'), true);
    const first = await stateIs(tree, 'quiet');
    await tree.waitForLine(/jobs quiet requested by redis/);
    process.kill(first.pid ?? 0, 'SIGKILL');
    await until('it has come back', async () => (await processorOf(tree)).restarts === 1);
    const second = await stateIs(tree, 'quiet');
    assert.notEqual(second.pid, first.pid);
    const successor = await until('its successor is listed', async () =>
      (await processes.list()).find(({ pid }) => pid === second.pid),
    );
    assert.deepEqual([successor.quiet, successor.tree], [true, identity.replace(/-\d+$/, '')]);
    assert.ok(!(await processes.list()).some((one) => one.identity === identity), 'the dead one is not listed');
    await order(tree, 'jobs resume');
    await stateIs(tree, 'ready');
    await until('it fetches jobs again', async () => !(await processes.list()).some((one) => one.quiet));
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(await processes.list(), []);
  });

  it('stop it in the one tree they are sent to, until an operator starts it again', async () => {
    const [tree, other] = await Promise.all([app.start({ WEB_CONCURRENCY: '1' }), app.start({ WEB_CONCURRENCY: '1' })]);
    await listed(other);
    const wanted = [
      ['jobs resume', () => catamount(tree.cwd, 'jobs', 'resume')],
      ['restart', () => catamount(tree.cwd, 'restart')],
      ['phased-restart', () => catamount(tree.cwd, 'phased-restart')],
    ] as const;
    const identities = new Set<string>();
    for (const [name, back] of wanted) {
      const { identity } = await listed(tree);
      identities.add(identity);
      assert.equal((await processes.list()).length, 2, 'both trees are on the list');
      assert.equal(await processes.send(identity, 'stop'), true);
      const { pid, restarts } = await stateIs(tree, 'stopped');
      assert.deepEqual([pid, restarts], [null, 0]);
      assert.equal((await processes.list()).length, 1);
      assert.match(
        (await catamount(tree.cwd, 'stats')).stdout,
        /^Jobs: +stopped by an operator; `catamount jobs resume`/m,
      );
      assert.match((await catamount(tree.cwd, 'status')).stdout, /job processor stopped$/m);
      assert.equal((await processorOf(other)).state, 'ready');
      const ready = await tree.request('GET', '/ready');
      assert.equal(ready.status, 200, 'the web serves on');
      assert.match(ready.body, /jobs/);
      assert.equal((await back()).code, 0, name);
      await stateIs(tree, 'ready');
      await until('all is well again', async () => !/jobs/.test((await tree.request('GET', '/ready')).body));
    }
    assert.equal(identities.size, 3, 'each process has its own identity');
    assert.equal(tree.linesMatching(/job processor stopped on command/).length, 3);
    assert.equal(tree.linesMatching(/job processor restarts in/).length, 0);
    for (const one of [tree, other]) assert.equal((await one.stop()).code, 0);
  });
});
