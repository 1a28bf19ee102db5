import assert from 'node:assert/strict';
import { Hints, MAX_HINTS } from '../../../lib/job/hint/hints';
import { timeOrderedUuid } from '../../../lib/support/uuid';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

describe('hints', () => {
  const system = useJobSystem();

  it('reach the queues after one that is full', async () => {
    const { client } = system.redis;
    const hints = new Hints(client);
    const job = (queue: string) => ({ id: timeOrderedUuid(), queue });
    await client.lPush('bq:crowded:waiting', Array.from({ length: MAX_HINTS }, timeOrderedUuid));
    assert.equal(await hints.push([job('crowded')]), 'pushed', 'it does not know yet');
    const last = job('default');
    assert.equal(await hints.push([job('crowded'), last]), 'full');
    assert.deepEqual(await client.lRange('bq:default:waiting', 0, -1), [last.id]);
  });

  it('are sent again as soon as there is a new connection to Redis', async () => {
    const { client } = system.redis;
    const hints = new Hints(client, 50);
    const [before, after] = [timeOrderedUuid(), timeOrderedUuid()];
    system.redisServer.pause();
    assert.equal(await hints.push([{ id: before, queue: 'default' }]), 'failed');
    system.redisServer.resume();
    await system.redisServer.kill();
    await until('the loss is known', () => !system.redis.client.isReady);
    await system.redisServer.start();
    await until('Redis is connected', () => system.redis.client.isReady);
    // Its reply may come late, but nothing would be sent if it was still avoided.
    await hints.push([{ id: after, queue: 'default' }]);
    await until('the hint is there', async () => (await client.lRange('bq:default:waiting', 0, -1)).includes(after));
  });
});
