import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DEFAULT_RETRY, decide, type RetryAnswer, retryWaitMs } from '../../../lib/job/perform/retry-policy';
import { DiscardJob, KillJob } from '../../../lib/job/perform/verdict';

const failure = new Error('it broke');
const rules = (retryIn?: () => RetryAnswer, limit = 25) => ({ retry: { limit }, ...(retryIn && { retryIn }) });

describe('the retry policy', () => {
  it('waits n^4 + 15 + rand(10 * (n + 1)) seconds', () => {
    const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(25), unit, (n, random) => {
        const seconds = retryWaitMs(n, () => random) / 1000;
        assert.ok(Number.isInteger(seconds));
        assert.ok(seconds >= n ** 4 + 15 && seconds < n ** 4 + 15 + 10 * (n + 1), `${seconds} s after ${n} retries`);
      }),
    );
    assert.equal(
      retryWaitMs(0, () => 0),
      15_000,
    );
    assert.equal(
      retryWaitMs(2, () => 0.999),
      (16 + 15 + 29) * 1000,
    );
  });

  it('adds up to about three weeks', () => {
    const total = Array.from({ length: DEFAULT_RETRY.limit }, (_, n) => retryWaitMs(n, () => 0.5)).reduce(
      (a, b) => a + b,
    );
    assert.equal(Math.round(total / 86_400_000), 20);
  });

  it('is dead after the first run and `limit` retries', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.integer({ min: 1, max: 40 }), (limit, attempt) => {
        assert.equal(decide(rules(undefined, limit), attempt, failure).kind, attempt > limit ? 'dead' : 'retry');
      }),
    );
  });

  it('takes the word of typed errors', () => {
    assert.deepEqual(decide(rules(), 1, new DiscardJob('gone')), { kind: 'discard' });
    assert.deepEqual(decide(rules(), 1, new KillJob('550 no such user')), { kind: 'dead', reason: '550 no such user' });
  });

  it('asks the class, within the limit', () => {
    assert.deepEqual(
      decide(
        rules(() => '2m'),
        1,
        failure,
      ),
      { kind: 'retry', waitMs: 120_000 },
    );
    assert.deepEqual(
      decide(
        rules(() => 0),
        3,
        failure,
      ),
      { kind: 'retry', waitMs: 0 },
    );
    assert.deepEqual(
      decide(
        rules(() => 'discard'),
        1,
        failure,
      ),
      { kind: 'discard' },
    );
    assert.deepEqual(
      decide(
        rules(() => 'dead'),
        1,
        failure,
      ),
      { kind: 'dead', reason: 'it broke' },
    );
    assert.equal(
      decide(
        rules(() => undefined),
        1,
        failure,
      ).kind,
      'retry',
    );
    assert.equal(
      decide(
        rules(() => '2m', 1),
        2,
        failure,
      ).kind,
      'dead',
    );
    assert.throws(
      () =>
        decide(
          rules(() => Number.NaN),
          1,
          failure,
        ),
      /no length of time/,
    );
  });
});
