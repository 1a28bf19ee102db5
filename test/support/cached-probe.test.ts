import assert from 'node:assert/strict';
import { type Deferred, deferred } from '../../lib/support/async';
import { CachedProbe } from '../../lib/support/cached-probe';
import { until } from './until';

/** @returns a probe whose reads end when the test resolves them. */
function probeFreshFor(freshMs: number) {
  const reads: Deferred<number>[] = [];
  const read = () => {
    const begun = deferred<number>();
    reads.push(begun);
    return begun.promise;
  };
  return { probe: new CachedProbe(read, { freshMs, limitMs: 20 }), reads };
}

describe('CachedProbe', () => {
  it('starts no read while one that has exceeded its limit still waits for its reply', async () => {
    const { probe, reads } = probeFreshFor(1);
    const [one, other] = await Promise.all([probe.get(), probe.get()]);
    assert.equal(one, other);
    assert.match(one.ok ? '' : one.error.message, /no answer within 20 ms/);
    const since = one.ok ? undefined : one.since;
    const from = performance.now();
    await until('the value is stale', async () => {
      await probe.get();
      return performance.now() > from + 100;
    });
    assert.equal(reads.length, 1);

    reads[0]?.resolve(1);
    await until('the second read has started', () => {
      void probe.get();
      return reads.length === 2;
    });
    const failed = await probe.get();
    assert.deepEqual(failed.ok ? undefined : failed.since, since);
    reads[1]?.resolve(2);
    await until('the third read has started', () => {
      void probe.get();
      return reads.length === 3;
    });
    reads[2]?.resolve(3);
    const { ok, ...answer } = await probe.get();
    assert.ok(ok);
    assert.equal('value' in answer && answer.value, 3);
  });

  it('reads again on refresh, even while another read still waits', async () => {
    const { probe, reads } = probeFreshFor(60_000);
    assert.equal((await probe.get()).ok, false);
    const now = probe.refresh();
    reads[1]?.resolve(2);
    const answer = await now;
    assert.equal(answer.ok && answer.value, 2);
    reads[0]?.resolve(1);
  });
});
