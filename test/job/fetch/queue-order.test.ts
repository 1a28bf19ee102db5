import assert from 'node:assert/strict';
import fc from 'fast-check';
import { weightedOrder } from '../../../lib/job/fetch/queue-order';

describe('the order of weighted queues', () => {
  it('has every queue for every job, whatever the weights', () => {
    const someWeights = fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(someWeights, fc.nat(20), (weights, wanted) => {
        const orders = weightedOrder(weights)([...weights.keys()], wanted);
        assert.equal(orders.length, wanted);
        for (const order of orders) assert.deepEqual([...order].sort(), [...weights.keys()]);
      }),
    );
  });
});
