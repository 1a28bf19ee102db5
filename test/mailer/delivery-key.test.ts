import assert from 'node:assert/strict';
import { Model } from 'objection';
import { runInContext } from '../../lib/core/execution-context';
import type { Draft } from '../../lib/mailer/compose/draft';
import { digestOfArguments } from '../../lib/mailer/delivery/argument-digest';
import { IdempotencyKeys } from '../../lib/mailer/delivery/idempotency-keys';

function draft(action: string, ...to: string[]): Draft {
  const boxes = to.map((address) => ({ name: '', address }));
  const from = { name: 'Shop', address: 'hello@shop.example' };
  return { mailer: 'UserMailer', action, from, to: boxes, cc: [], bcc: [] } as unknown as Draft;
}

const given = (...args: unknown[]) => digestOfArguments(args, {});
const NOTHING = given();

class Order extends Model {
  static override readonly tableName: string = 'orders';
}
class Invoice extends Model {
  static override readonly tableName = 'invoices';
}
/** Its value is visible only through toString(). */
class Money {
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  toString(): string {
    return `${this.#cents} cents`;
  }
}

describe('IdempotencyKeys', () => {
  it('gives the same mail of the same job the same key in every run', () => {
    const run = (keys: IdempotencyKeys, attempt: number) =>
      runInContext({ jobId: 'job-7', attempt }, () => [
        keys.next(draft('welcome', 'a@x.example'), NOTHING).key,
        keys.next(draft('welcome', 'b@x.example'), NOTHING).key,
        keys.next(draft('welcome', 'a@x.example'), NOTHING).key,
        keys.next(draft('other', 'a@x.example'), NOTHING).key,
      ]);
    const keys = new IdempotencyKeys();
    const first = run(keys, 1);
    assert.equal(new Set(first).size, 4);
    assert.ok(first.every((key) => key.startsWith('job-7/')));
    assert.deepEqual(run(keys, 2), first, 'the next attempt in the same process');
    assert.deepEqual(run(new IdempotencyKeys(), 2), first, 'another process');
    assert.notDeepEqual(run(keys, 2), first, 'more mails of one run');
    keys.forget('job-7');
    assert.deepEqual(run(keys, 2), first, 'after the run has ended');
  });

  it('does not mistake one recipient for another when a list shrinks between runs', () => {
    const keys = (attempt: number, ...to: string[]) => {
      const fresh = new IdempotencyKeys();
      return runInContext({ jobId: 'j', attempt }, () => to.map((one) => fresh.next(draft('news', one), NOTHING).key));
    };
    const [, b, c] = keys(1, 'a@x.example', 'b@x.example', 'c@x.example');
    const [b2, c2, d2] = keys(2, 'b@x.example', 'c@x.example', 'd@x.example');
    assert.deepEqual([b2, c2], [b, c]);
    assert.ok(d2 !== b && d2 !== c);
  });

  it('tells mails to the same people apart by all their arguments, in whatever order a run sends them', () => {
    const keys = (attempt: number, ...given: string[]) => {
      const fresh = new IdempotencyKeys();
      return runInContext({ jobId: 'j', attempt }, () =>
        given.map((one) => fresh.next(draft('shipped', 'a@x.example'), one).key),
      );
    };
    // More values are in fuzz/mail-arguments. Created again for each run, as a job creates or loads its arguments in each run.
    const all = (): string[] => [
      given(),
      given('token-2'),
      given('1'),
      given(1n),
      given(new Date(1)),
      given({ id: 7, lines: [{ sku: 'a', price: { cents: 5 } }] }),
      given({ id: 7, lines: [{ sku: 'a', price: { cents: 6 } }] }),
      given(Order.fromJson({ id: 7 })),
      given(Order.fromJson({ id: 8 })),
      given([Order.fromJson({ id: 7 }), Order.fromJson({ id: 8 })]),
      given(Invoice.fromJson({ id: 7 })),
      given(Order.fromJson({ status: 'unsaved' })),
      given(Buffer.from('a')),
      given(new Map([['a', 1]])),
      given(new Money(5)),
      given(new Money(6)),
      given('a,b'),
      digestOfArguments([], { tone: 'a' }),
      digestOfArguments([], { tone: 'b' }),
      digestOfArguments([], { order: Order.fromJson({ id: 7 }) }),
    ];
    const first = keys(1, ...all());
    assert.equal(new Set(first).size, first.length);
    assert.deepEqual(keys(2, ...all().reverse()), first.reverse());
  });

  it('identifies a saved model by its id alone, and treats a missing value like undefined', () => {
    const key = (one: string) =>
      runInContext(
        { jobId: 'j', attempt: 1 },
        () => new IdempotencyKeys().next(draft('shipped', 'a@x.example'), one).key,
      );
    const same: [string, string][] = [
      [given(Order.fromJson({ id: 7, status: 'new' })), given(Order.fromJson({ id: '7', status: 'shipped' }))],
      [given('a'), given('a', undefined)],
      [given({ a: 1, b: 2 }), given({ b: 2, a: 1, c: undefined })],
      [digestOfArguments([], { a: 1, b: 2 }), digestOfArguments([], { b: 2, a: 1, c: undefined })],
    ];
    for (const [one, other] of same) assert.equal(key(one), key(other));
  });

  it('treats opaque values as different each time: a mail that is sent twice is better than one that is never sent', () => {
    class Secret {
      readonly #cents: number;
      constructor(cents: number) {
        this.#cents = cents;
      }
      get isFree(): boolean {
        return this.#cents === 0;
      }
    }
    assert.notEqual(given(new Secret(5)), given(new Secret(6)));
    assert.notEqual(given(Uint8Array.of(5).buffer), given(Uint8Array.of(6).buffer));
    assert.equal(given(Uint8Array.of(5).buffer), given(Uint8Array.of(5).buffer));
  });

  it('copes with values that are cyclic, widely shared or unreadable', () => {
    const ring: Record<string, unknown> = { name: 'ring' };
    ring.self = ring;
    let shared: unknown = 'leaf';
    for (let depth = 0; depth < 20_000; depth++) shared = [shared, shared];
    const hostile = Object.defineProperty({}, 'total', {
      enumerable: true,
      get: () => {
        throw new Error('not now');
      },
    });
    const keys = [ring, shared, hostile].map((one) =>
      runInContext({ jobId: 'j', attempt: 1 }, () => {
        const name = () => new IdempotencyKeys().next(draft('shipped', 'a@x.example'), given(one)).key;
        assert.equal(name(), name());
        return name();
      }),
    );
    assert.equal(new Set(keys).size, 3);
  });

  it('ignores the order of recipients, and counts a nested context to the same run', () => {
    const keys = new IdempotencyKeys();
    runInContext({ jobId: 'j', attempt: 1 }, () => {
      const one = keys.next(draft('news', 'a@x.example', 'b@x.example'), NOTHING).key;
      const two = runInContext(
        { locale: 'ko' },
        () => keys.next(draft('news', 'b@x.example', 'a@x.example'), NOTHING).key,
      );
      assert.match(one, /\/1$/);
      assert.equal(two, one.replace(/1$/, '2'));
    });
  });

  it('derives a valid Message-ID in the domain of the sender, and a new key outside jobs', () => {
    const keys = new IdempotencyKeys();
    const { key, messageId } = runInContext({ jobId: 'a b/<c>@d' }, () =>
      keys.next(draft('news', 'a@x.example'), NOTHING),
    );
    assert.match(messageId, /^<[A-Za-z0-9._-]+@shop\.example>$/);
    assert.ok(key.startsWith('a b/<c>@d/'));
    const [, digest = ''] = /\/([0-9a-f]{16})\/1$/.exec(key) ?? [];
    assert.ok(digest !== '' && !messageId.includes(digest), 'with the digest, a recipient could guess the Bcc');
    const from = { name: '', address: 'hello@münchen.example' };
    assert.match(keys.next({ ...draft('news', 'a@x.example'), from }, NOTHING).messageId, /@xn--mnchen-3ya\.example>$/);
    assert.notEqual(
      keys.next(draft('news', 'a@x.example'), NOTHING).key,
      keys.next(draft('news', 'a@x.example'), NOTHING).key,
    );
  });
});
