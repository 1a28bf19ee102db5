import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import { DeliveryKeys } from '../../lib/mailer/delivery-key';
import type { Draft } from '../../lib/mailer/draft';

function draft(action: string, ...to: string[]): Draft {
  const boxes = to.map((address) => ({ name: '', address }));
  const from = { name: 'Shop', address: 'hello@shop.example' };
  return { mailer: 'UserMailer', action, from, to: boxes, cc: [], bcc: [] } as unknown as Draft;
}

describe('DeliveryKeys', () => {
  it('gives the same mail of the same job the same key in every run', () => {
    const run = (keys: DeliveryKeys, attempt: number) =>
      runInContext({ jobId: 'job-7', attempt }, () => [
        keys.next(draft('welcome', 'a@x.example')).key,
        keys.next(draft('welcome', 'b@x.example')).key,
        keys.next(draft('welcome', 'a@x.example')).key,
        keys.next(draft('other', 'a@x.example')).key,
      ]);
    const keys = new DeliveryKeys();
    const first = run(keys, 1);
    assert.equal(new Set(first).size, 4);
    assert.ok(first.every((key) => key.startsWith('job-7/')));
    assert.deepEqual(run(keys, 2), first, 'the next attempt in the same process');
    assert.deepEqual(run(new DeliveryKeys(), 2), first, 'another process');
    assert.notDeepEqual(run(keys, 2), first, 'more mails of one run');
    keys.forget('job-7');
    assert.deepEqual(run(keys, 2), first, 'after the run has ended');
  });

  it('does not mistake one recipient for another when a list shrinks between runs', () => {
    const keys = (attempt: number, ...to: string[]) => {
      const fresh = new DeliveryKeys();
      return runInContext({ jobId: 'j', attempt }, () => to.map((one) => fresh.next(draft('news', one)).key));
    };
    const [, b, c] = keys(1, 'a@x.example', 'b@x.example', 'c@x.example');
    const [b2, c2, d2] = keys(2, 'b@x.example', 'c@x.example', 'd@x.example');
    assert.deepEqual([b2, c2], [b, c]);
    assert.ok(d2 !== b && d2 !== c);
  });

  it('tells mails to the same people apart by the records they are about, in whatever order a run comes to them', () => {
    const keys = (attempt: number, ...given: unknown[][]) => {
      const fresh = new DeliveryKeys();
      return runInContext({ jobId: 'j', attempt }, () =>
        given.map((one) => fresh.next(draft('shipped', 'a@x.example'), one).key),
      );
    };
    const [seven, eight, list] = keys(1, [{ id: 7 }], [{ id: '8' }, 'x'], [[{ id: 7 }, { id: 8n }]]);
    assert.equal(new Set([seven, eight, list]).size, 3);
    assert.deepEqual(keys(2, [[{ id: 7 }, { id: 8n }]], [{ id: '8' }, 'y'], [{ id: 7 }]), [list, eight, seven]);
    // What a run makes anew is no other mail.
    const [first] = keys(1, ['token-1', 5, new Date(1), { name: 'Ada' }, null, { id: {} }]);
    assert.deepEqual(keys(2, ['token-2', 6, new Date(2), { name: 'Bob' }, undefined, { id: [] }]), [first]);
  });

  it('takes the order of recipients for nothing, and a nested context for the same run', () => {
    const keys = new DeliveryKeys();
    runInContext({ jobId: 'j', attempt: 1 }, () => {
      const one = keys.next(draft('news', 'a@x.example', 'b@x.example')).key;
      const two = runInContext({ locale: 'ko' }, () => keys.next(draft('news', 'b@x.example', 'a@x.example')).key);
      assert.match(one, /\/1$/);
      assert.equal(two, one.replace(/1$/, '2'));
    });
  });

  it('derives a valid Message-ID at the sender, and a fresh key outside jobs', () => {
    const keys = new DeliveryKeys();
    const { key, messageId } = runInContext({ jobId: 'a b/<c>@d' }, () => keys.next(draft('news', 'a@x.example')));
    assert.match(messageId, /^<[A-Za-z0-9._-]+@shop\.example>$/);
    assert.ok(key.startsWith('a b/<c>@d/'));
    const from = { name: '', address: 'hello@münchen.example' };
    assert.match(keys.next({ ...draft('news', 'a@x.example'), from }).messageId, /@xn--mnchen-3ya\.example>$/);
    assert.notEqual(keys.next(draft('news', 'a@x.example')).key, keys.next(draft('news', 'a@x.example')).key);
  });
});
