import assert from 'node:assert/strict';
import { Hints, MAX_HINTS } from '../../../lib/job/hint/hints';
import { timeOrderedUuid } from '../../../lib/support/uuid';
import { useJobSystem } from '../job-system';

describe('hints', () => {
  const system = useJobSystem();

  it('reach the queues after one that is full, those for the head before the others, in their order', async () => {
    const { client } = system.redis;
    const hints = new Hints(client);
    const job = (queue: string) => ({ id: timeOrderedUuid(), queue });
    await client.lPush('bq:crowded:waiting', Array.from({ length: MAX_HINTS }, timeOrderedUuid));
    assert.equal(await hints.push([job('crowded')]), 'pushed', 'it does not know yet');
    const last = job('default');
    assert.equal(await hints.push([job('crowded'), last]), 'full');
    const [first, second] = [job('default'), job('default')];
    await hints.push([first, second], 'head');
    assert.deepEqual(await client.lRange('bq:default:waiting', 0, -1), [last.id, second.id, first.id]);
  });
});
