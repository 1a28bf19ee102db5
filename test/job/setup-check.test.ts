import assert from 'node:assert/strict';
import { UserError } from '../../lib/core/errors';
import { checkJobSetup } from '../../lib/job/definition/setup';

const serializer = (name: string) => ({ name, matches: () => false, serialize: () => 1, deserialize: () => 1 });

describe('a job setup', () => {
  it('may have all of its parts, or none', () => {
    const full = {
      enqueueMiddleware: [],
      performMiddleware: [() => undefined],
      reportError: () => undefined,
      serializers: [serializer('money'), serializer('place')],
      filterArguments: ['phone', /^x-/],
    };
    assert.equal(checkJobSetup(full, 'jobSetup'), full);
    assert.deepEqual(checkJobSetup({ reportError: undefined }, 'jobSetup'), { reportError: undefined });
  });

  it('is refused with the reason and the remedy', () => {
    const refusals: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /^jobSetup \(.\/setup\) must default-export an object; it is a undefined$/],
      [[], /it is an array/],
      [{ performMiddleware: () => undefined }, /performMiddleware is a function; give an array of functions/],
      [{ performMiddleware: [1] }, /performMiddleware is an array with something else in it/],
      [{ middleware: [] }, /there is no middleware in a job setup; it may have enqueueMiddleware, performMiddleware, /],
      [{ toString: () => '' }, /there is no toString/],
      [{ reportError: 'stderr' }, /reportError is a string; give a function/],
      [{ serializers: [{ name: 'money' }] }, /give an array of objects with name, matches, serialize and deserialize/],
      [{ serializers: [serializer('a'), serializer('a')] }, /two serializers are named a/],
      [{ filterArguments: [7] }, /give an array of texts and regular expressions/],
    ];
    for (const [given, message] of refusals) {
      assert.throws(
        () => checkJobSetup(given, 'jobSetup (./setup)'),
        (error) => error instanceof UserError && message.test(error.message),
      );
    }
  });
});
