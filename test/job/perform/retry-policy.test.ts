import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DiscardJob, KillJob, RecordGoneError } from '../../../lib/job/definition/errors';
import type { RetryDecision } from '../../../lib/job/definition/retry-policy';
import { Job } from '../../../lib/job/job';
import { decide, polynomialWaitMs, type RetryRules, retryWaitMs } from '../../../lib/job/perform/failure-decision';

const failure = new Error('it broke');
const rules = (retryIn?: () => RetryDecision, limit = 25) => ({ retry: { limit }, ...(retryIn && { retryIn }) });
const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

interface Case {
  readonly attempt?: number;
  readonly counts?: Readonly<Record<string, number>>;
  readonly random?: () => number;
  readonly broken?: Error[];
}

function verdict(of: RetryRules, error: Error = failure, { attempt = 1, counts, random, broken }: Case = {}) {
  const onBrokenRule = (rule: Error) => {
    if (!broken) throw rule;
    broken.push(rule);
  };
  return decide(of, { attempt, error, counts }, { random, onBrokenRule });
}

abstract class SilentJob extends Job {
  perform(): void {}
}

class BusyError extends Error {}
class VeryBusyError extends BusyError {}
class GoneError extends Error {}

describe('the retry policy', () => {
  describe('without rules', () => {
    it('waits n^4 + 15 + rand(10 * (n + 1)) seconds', () => {
      fc.assert(
        fc.property(fc.nat(25), unit, (n, random) => {
          const seconds = retryWaitMs(n, () => random) / 1000;
          assert.ok(Number.isInteger(seconds));
          assert.ok(seconds >= n ** 4 + 15 && seconds < n ** 4 + 15 + 10 * (n + 1), `${seconds} s after ${n} retries`);
        }),
      );
      assert.deepEqual([retryWaitMs(0, () => 0), retryWaitMs(2, () => 0.999)], [15_000, (16 + 15 + 29) * 1000]);
    });

    it('is dead after the first run and `limit` retries', () => {
      fc.assert(
        fc.property(fc.nat(30), fc.integer({ min: 1, max: 40 }), (limit, attempt) => {
          const { kind } = verdict(rules(undefined, limit), failure, { attempt });
          assert.equal(kind, attempt > limit ? 'dead' : 'retry');
        }),
      );
    });

    it('does not count errors to which rules apply', () => {
      fc.assert(
        fc.property(fc.nat(30), fc.nat(30), fc.dictionary(fc.string(), fc.nat(9)), (limit, retries, counts) => {
          const met = Object.values(counts).reduce((a, b) => a + b, 0);
          const got = verdict(rules(undefined, limit), failure, {
            attempt: 1 + retries + met,
            counts,
            random: () => 0,
          });
          const expected = { kind: 'retry', waitMs: retryWaitMs(retries, () => 0) };
          if (retries < limit) assert.deepEqual(got, expected);
          else assert.equal(got.kind, 'dead');
        }),
      );
    });

    it('obeys DiscardJob, RecordGoneError and KillJob', () => {
      assert.deepEqual(verdict(rules(), new DiscardJob('gone')), { kind: 'discard' });
      assert.deepEqual(verdict(rules(), new RecordGoneError('User', '7')), { kind: 'discard' });
      assert.deepEqual(verdict(rules(), new KillJob('550 no such user')), { kind: 'dead', reason: '550 no such user' });
    });

    it('is dead when the next retry would begin later than retryFor after the first failure by the same rule', () => {
      class RuledJob extends SilentJob {
        static override readonly retry = { retryFor: '1h' } as const;
      }
      RuledJob.retryOn(BusyError, { wait: '10m', attempts: 9, jitter: 0, retryFor: '30m' });
      const now = 1_800_000_000_000;
      const at = (minutesAgo: number | undefined, error: Error, key: string) =>
        decide(
          RuledJob,
          {
            attempt: 1,
            error,
            now,
            ...(minutesAgo !== undefined && { firstFailedAt: { [key]: now - minutesAgo * 60_000 } }),
          },
          { random: () => 0, onBrokenRule: assert.fail },
        );
      const verdicts = ([minutesAgo, error, key]: [number | undefined, Error, string]) => {
        const { kind, firstFailedAt } = at(minutesAgo, error, key);
        return [kind, firstFailedAt];
      };
      const first = { BusyError: now - 20 * 60_000 };
      assert.deepEqual(verdicts([20, new BusyError(), 'BusyError']), ['retry', first]);
      assert.equal(at(21, new BusyError(), 'BusyError').kind, 'dead');
      // The time of one rule does not count for another.
      assert.deepEqual(verdicts([59, new BusyError(), '']), ['retry', { '': now - 59 * 60_000, BusyError: now }]);
      assert.deepEqual(verdicts([undefined, failure, '']), ['retry', { '': now }]);
      assert.equal(at(59, failure, '').kind, 'retry');
      assert.equal(at(60, failure, '').kind, 'dead');
    });

    it('asks retryIn, within the limit', () => {
      const answer = (given: RetryDecision, attempt = 1, limit = 25) =>
        verdict(
          rules(() => given, limit),
          failure,
          { attempt },
        );
      assert.deepEqual(answer('2m'), { kind: 'retry', waitMs: 120_000 });
      assert.deepEqual(answer(0, 3), { kind: 'retry', waitMs: 0 });
      assert.deepEqual(answer('discard'), { kind: 'discard' });
      assert.deepEqual(answer('dead'), { kind: 'dead', reason: 'it broke' });
      assert.equal(answer(undefined).kind, 'retry');
      assert.equal(answer('2m', 2, 1).kind, 'dead');
    });

    it('ignores and reports an invalid answer of retryIn', () => {
      const broken: Error[] = [];
      const random = () => 0;
      assert.deepEqual(
        verdict(
          rules(() => Number.NaN),
          failure,
          { broken, random },
        ),
        { kind: 'retry', waitMs: 15_000 },
      );
      assert.match(broken[0]?.message ?? '', /not a length of time/);
    });
  });

  describe('with retryOn and discardOn', () => {
    const jitter = fc.double({ min: 0, max: 1, noNaN: true });

    it('waits n^4 + 2 seconds and at most the `jitter` of n^4 when the wait is polynomial', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 50 }), jitter, unit, (n, part, random) => {
          const ms = polynomialWaitMs(n, part, () => random);
          assert.ok(ms >= (n ** 4 + 2) * 1000 - 1 && ms <= (n ** 4 * (1 + part) + 2) * 1000 + 1);
          assert.ok(ms < polynomialWaitMs(n + 1, part, () => random), 'longer each time');
          class PolynomialJob extends SilentJob {
            static {
              this.retryOn(BusyError, { wait: 'polynomial', jitter: part });
            }
          }
          const got = verdict(PolynomialJob, new BusyError(), { random: () => random });
          assert.equal(
            got.kind === 'retry' && got.waitMs,
            polynomialWaitMs(1, part, () => random),
          );
        }),
      );
    });

    it('adds a random share of at most `jitter` to a fixed wait', () => {
      fc.assert(
        fc.property(fc.nat(10_000_000), jitter, unit, (wait, part, random) => {
          class FixedJob extends SilentJob {
            static {
              this.retryOn(BusyError, { wait, jitter: part });
            }
          }
          const got = verdict(FixedJob, new BusyError(), { random: () => random });
          assert.ok(got.kind === 'retry' && got.waitMs >= wait && got.waitMs <= Math.round(wait * (1 + part)));
          const middle = verdict(FixedJob, new BusyError(), { random: () => 0.5 });
          assert.ok(middle.kind === 'retry' && Math.abs(middle.waitMs - wait * (1 + part / 2)) <= 1);
        }),
      );
    });

    it("allows `attempts` runs that fail with the rule's errors, whatever other errors came before", () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(30), fc.nat(30), (attempts, failed, others) => {
          class CountingJob extends SilentJob {
            static override retry = { limit: 0 };
            static {
              this.retryOn(BusyError, { attempts });
            }
          }
          const counts = { BusyError: failed, another: others };
          const got = verdict(CountingJob, new BusyError('busy'), { attempt: failed + others + 1, counts });
          assert.equal(got.kind, failed + 1 >= attempts ? 'dead' : 'retry');
          assert.equal(got.key, 'BusyError');
          const which = failed === 0 ? 'the only attempt' : `the last of ${failed + 1} attempts`;
          if (got.kind === 'dead') assert.equal(got.reason, `busy (${which})`);
        }),
      );
    });

    it('allows 5 attempts, 3 s apart, by default, and any number with Infinity', () => {
      class UsualJob extends SilentJob {
        static {
          this.retryOn(BusyError);
          this.retryOn(GoneError, { attempts: Number.POSITIVE_INFINITY });
        }
      }
      const random = () => 0;
      assert.deepEqual(verdict(UsualJob, new BusyError(), { random }), {
        kind: 'retry',
        waitMs: 3000,
        key: 'BusyError',
      });
      assert.deepEqual(verdict(UsualJob, new BusyError(), { random: () => 1 }), {
        kind: 'retry',
        waitMs: 3450,
        key: 'BusyError',
      });
      assert.equal(verdict(UsualJob, new BusyError(), { counts: { BusyError: 3 } }).kind, 'retry');
      assert.equal(verdict(UsualJob, new BusyError(), { counts: { BusyError: 4 } }).kind, 'dead');
      assert.equal(verdict(UsualJob, new GoneError(), { counts: { GoneError: 1e9 } }).kind, 'retry');
    });

    it("asks a function with the number of the rule's failures, and adds no jitter", () => {
      const asked: unknown[] = [];
      const error = new BusyError('later');
      class FunctionJob extends SilentJob {
        static {
          this.retryOn(BusyError, {
            wait: (attempt, given) => {
              asked.push(attempt, given);
              return '1m';
            },
          });
        }
      }
      const got = verdict(FunctionJob, error, { attempt: 9, counts: { BusyError: 2 }, random: () => 0.9 });
      assert.deepEqual(got, { kind: 'retry', waitMs: 60_000, key: 'BusyError' });
      assert.deepEqual(asked, [3, error]);
    });

    it('matches errors by their class, a parent class, a list or a function', () => {
      class ListJob extends SilentJob {
        static {
          this.discardOn([GoneError, (error) => error.message === 'odd']);
          this.retryOn(BusyError, { wait: 1 });
        }
      }
      const kinds = [new GoneError(), new Error('odd'), new VeryBusyError(), new Error('other')].map((error) => {
        const got = verdict(ListJob, error, { random: () => 0 });
        return got.kind === 'retry' ? got.waitMs : got.kind;
      });
      assert.deepEqual(kinds, ['discard', 'discard', 1, 15_000]);
    });

    it('inherits rules, of which the latest applies, and those of the class before those of its parent', () => {
      abstract class ParentJob extends SilentJob {
        static {
          this.retryOn(Error, { wait: 1, jitter: 0 });
          this.retryOn(BusyError, { wait: 2, jitter: 0 });
          this.retryOn(GoneError, { wait: 3, jitter: 0 });
        }
      }
      class ChildJob extends ParentJob {
        static {
          this.retryOn(BusyError, { wait: 4, jitter: 0 });
        }
      }
      class CousinJob extends ParentJob {}
      const wait = (of: RetryRules, error: Error) => {
        const got = verdict(of, error);
        return got.kind === 'retry' ? got.waitMs : got.kind;
      };
      const errors = [new Error(), new VeryBusyError(), new GoneError()];
      assert.deepEqual(
        errors.map((error) => wait(ChildJob, error)),
        [1, 4, 3],
      );
      assert.deepEqual(
        errors.map((error) => wait(CousinJob, error)),
        [1, 2, 3],
      );
      assert.equal(wait(ChildJob, new DiscardJob()), 'discard', 'DiscardJob comes before all rules');
    });

    it('counts separately for each rule by a function, including those of a parent class', () => {
      abstract class ParentJob extends SilentJob {
        static {
          this.retryOn((error) => error.message === 'busy', { attempts: 3 });
        }
      }
      class ChildJob extends ParentJob {
        static {
          this.retryOn((error) => error.message === 'gone', { attempts: 3 });
          this.retryOn((error) => error.message === 'odd', { attempts: 3 });
        }
      }
      const keys = ['busy', 'gone', 'odd'].map((message) => verdict(ChildJob, new Error(message)).key);
      assert.equal(new Set(keys).size, 3, keys.join());
      assert.ok(keys.every(Boolean));
    });

    it('retries a job whose model is gone if a rule says so', () => {
      class PatientJob extends SilentJob {
        static {
          this.retryOn(RecordGoneError, { wait: '1s' });
        }
      }
      assert.equal(verdict(PatientJob, new RecordGoneError('User', '7')).kind, 'retry');
    });

    it('ignores and reports a rule that throws', () => {
      const broken: Error[] = [];
      const breaking = () => {
        throw new Error('the rule itself broke');
      };
      class BrokenJob extends SilentJob {
        static {
          this.retryOn(BusyError, { wait: breaking });
          this.discardOn(breaking);
        }
      }
      const got = verdict(BrokenJob, new BusyError(), { broken, random: () => 0 });
      assert.deepEqual([got.kind === 'retry' && got.waitMs, broken.length], [15_000, 2]);
    });

    it('rejects invalid options, naming class and option', () => {
      class OddJob extends SilentJob {}
      const refused = (declare: () => void, message: RegExp) => assert.throws(declare, { name: 'TypeError', message });
      refused(() => OddJob.retryOn(BusyError, { attempts: 0 }), /^OddJob\.retryOn: attempts is 0; /);
      refused(() => OddJob.retryOn(BusyError, { attempts: 1.5 }), /attempts is 1\.5/);
      refused(() => OddJob.retryOn(BusyError, { jitter: 2 }), /jitter is 2; /);
      refused(() => OddJob.retryOn(BusyError, { jitter: Number.NaN }), /jitter is NaN/);
      refused(() => OddJob.retryOn(BusyError, { wait: 'soon' as '1s' }), /wait is "soon"; .*'polynomial'/);
      refused(() => OddJob.retryOn([]), /no errors are named/);
      refused(() => OddJob.discardOn('GoneError' as never), /OddJob\.discardOn: GoneError is neither a subclass of/);
      refused(() => OddJob.discardOn(class Foreign {} as never), /neither a subclass of Error nor a function/);
    });
  });
});
