import assert from 'node:assert/strict';
import fc from 'fast-check';
import { deserializeArguments } from '../../lib/job/record/argument-decoder';
import { checkFilter, InvalidRequestError } from '../../lib/job/sets/query';
import { parseDuration } from '../../lib/support/duration';
import { processorsIn } from '../../lib/tree/processors';
import { readTreeStatus } from '../../lib/tree/tree-directory';
import { treeStatusOf } from '../ops/overview/tree-statuses';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { Mutator } from './mutator';

/** Our own small formats, and what Redis stores besides job records. */
describe('texts of any kind', () => {
  withShortStacks();
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom({ $date: 1e99 }, { $bigint: 'x' }, { $model: [1] }, { $value: [] }, { $number: 0 }),
  );

  it('are read as arguments of jobs, or rejected with a message', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(anything, fc.dictionary(fc.constantFrom('$date', '$model', '$$x', 'a'), anything)), {
          maxLength: 3,
        }),
        async (args) => {
          try {
            await deserializeArguments(args as never, {});
          } catch (thrown) {
            assert.ok(thrown instanceof Error && thrown.message !== '');
          }
        },
      ),
      runs(6000),
    ));

  it('are read as durations, or not at all', () => {
    const mutator = new Mutator(SEED, ['ms', 's', 'd', '.', '-', 'e9', '9'.repeat(30), ' ']);
    for (let n = cases(10_000); n > 0; n--) {
      const ms = parseDuration(mutator.mutate(['10s', '500ms', '1.5h', '7 d', '3']).toString('utf8'));
      assert.ok(ms === undefined || (Number.isSafeInteger(ms) && ms >= 0));
    }
  });

  it('are read as filters of lists, or rejected as invalid requests', () =>
    fc.assert(
      fc.property(
        fc.record(
          {
            queue: anything,
            class: anything,
            tag: anything,
            error: anything,
            text: fc.oneof(anything, fc.string({ unit: 'binary' })),
            since: anything,
          },
          { requiredKeys: [] },
        ),
        (given) => {
          try {
            JSON.stringify(checkFilter(given as never));
          } catch (thrown) {
            assert.ok(thrown instanceof InvalidRequestError, String(thrown));
          }
        },
      ),
      runs(4000),
    ));

  it('are read as the status of a tree with its job processors, or skipped', () => {
    const status = JSON.stringify(treeStatusOf());
    const mutator = new Mutator(SEED, ['null', '[]', '{}', '"', ',', ':', '-1', '"pid":"7"', '"host":{}', '1e999']);
    for (let n = cases(4000); n > 0; n--) {
      const text = mutator.mutate([status]).toString('utf8');
      const treeStatus = readTreeStatus(text);
      for (const { queues, host } of treeStatus ? processorsIn([{ treeStatus, heartbeatAgeMs: 0 }]) : [])
        assert.ok(
          [host, ...queues].every((one) => typeof one === 'string'),
          text,
        );
    }
  });
});
