import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Deadline } from '../../../lib/support/deadline';
import { listProcesses } from '../../../lib/tree/processors';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('commands for the job processor', () => {
  const app = useSupervisorApp();
  let redis: Redis;
  before(async () => {
    redis = new Redis(app.redis.url, new Events());
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
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
  const processes = () => listProcesses(redis.client);

  it('outlive its process: a quiet processor that crashes is restarted quiet', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const { pid } = await stateIs(tree, 'ready');
    const { identity } = await until('it is listed', async () => (await processes()).find((one) => one.pid === pid));
    await order(tree, 'jobs quiet');
    const first = await stateIs(tree, 'quiet');
    process.kill(first.pid ?? 0, 'SIGKILL');
    await until('it has come back', async () => (await processorOf(tree)).restarts === 1);
    const second = await stateIs(tree, 'quiet');
    assert.notEqual(second.pid, first.pid);
    const successor = await until('its successor is listed', async () =>
      (await processes()).find((one) => one.pid === second.pid),
    );
    assert.deepEqual([successor.quiet, successor.tree], [true, identity.replace(/-\d+$/, '')]);
    await until(
      'the dead one is not listed',
      async () => !(await processes()).some((one) => one.identity === identity),
    );
    await order(tree, 'jobs resume');
    await stateIs(tree, 'ready');
    await until('it fetches jobs again', async () => !(await processes()).some((one) => one.quiet));
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(await processes(), []);
  });
});
