import assert from 'node:assert/strict';
import fc from 'fast-check';
import { weightedOrder } from '../../../lib/job/fetch/queue-order';

describe('the order of weighted queues', () => {
  it('has every queue, whatever the weights', () => {
    const someWeights = fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(someWeights, (weights) => {
        assert.deepEqual([...weightedOrder(weights)([...weights.keys()])].sort(), [...weights.keys()]);
      }),
    );
  });
});
