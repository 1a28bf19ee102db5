import assert from 'node:assert/strict';
import { ClaimedAhead } from '../../../lib/job/fetch/claimed-ahead';
import type { Delivery } from '../../../lib/job/row/job-row';

describe('jobs that were claimed ahead', () => {
  it('are returned instead of started when their process has stood still', () => {
    const returned: string[] = [];
    const ahead = new ClaimedAhead((deliveries) => returned.push(...deliveries.map(({ id }) => id)), 100);
    const delivery = (id: string) => ({ id }) as Delivery;
    for (const id of ['a', 'b', 'c']) ahead.push(delivery(id));
    assert.equal(ahead.shift()?.id, 'a');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150);
    ahead.push(delivery('d'));
    assert.equal(ahead.shift()?.id, 'd');
    assert.deepEqual(returned, ['b', 'c']);
    ahead.close();
  });
});
