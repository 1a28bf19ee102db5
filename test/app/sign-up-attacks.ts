import assert from 'node:assert/strict';
import { BAD_EMAILS, BAD_NAMES, GOOD_EMAILS, GOOD_NAMES, ONE_GMAIL, ONE_MAILBOX } from './sign-up-input';

/** An app under attack: the sample, or one that `catamount new` has written. It trusts one proxy. */
export interface AttackedApp {
  /** Posts a body, as JSON, to /users, from a client at this address. */
  signUp(
    body: unknown,
    ip: string,
  ): Promise<{ readonly status: number; readonly body: string; readonly retryAfter: number }>;
  /** Gets the home page. @returns the status. */
  visit(): Promise<number>;
  /** @returns how many mails have been enqueued or sent so far. */
  mails(): Promise<number>;
}

/** Each takes a quadratic pattern more than ten seconds, so that it would not get through all of them. */
const LONG = { email: `a@${'.'.repeat(99_000)} x` };
const AT_ONCE = 15;
const MOST_FOR_A_MAILBOX = 5;

/** Defines the tests that every app which takes sign-ups must pass, with the limits that it has by default. */
export function resistsAttacks(app: () => AttackedApp): void {
  let clients = 0;
  /** Each is from another network. */
  const signUp = (body: unknown) => app().signUp(body, `10.${clients >> 8}.${clients++ & 255}.1`);

  it('422 names the field for each address and each name that is none, and nobody gets a mail', async () => {
    const before = await app().mails();
    for (const [field, values] of Object.entries({ email: BAD_EMAILS, name: BAD_NAMES })) {
      for (const value of values) {
        const given = { email: 'ada@example.com', name: 'Ada', [field]: value };
        const { status, body } = await app().signUp(given, '192.0.2.1');
        assert.equal(status, 422, `${field} ${JSON.stringify(value)?.slice(0, 60)}: ${body}`);
        const { errors } = JSON.parse(body) as { readonly errors: readonly { readonly pointer: string }[] };
        assert.deepEqual(
          errors.map(({ pointer }) => pointer),
          [`/${field}`],
        );
      }
    }
    for (const body of [null, [], 'text', 5, true, {}, { email: { address: 'a@b.co' } }])
      assert.equal((await app().signUp(body, '192.0.2.1')).status, 422, JSON.stringify(body));
    assert.equal(await app().mails(), before);
  });

  it('201 for each name and address that people have', async () => {
    for (const email of GOOD_EMAILS) assert.equal((await signUp({ email, name: 'Ada' })).status, 201, email);
    for (const [n, name] of GOOD_NAMES.entries()) {
      const { status, body } = await signUp({ email: `user${n}@example.com`, name });
      assert.equal(status, 201, `${name}: ${body}`);
    }
  });

  it('bodies that a slow pattern would read for minutes hold up nobody', async () => {
    let attacking = true;
    const attack = Promise.all(Array.from({ length: AT_ONCE }, () => signUp(LONG))).finally(() => {
      attacking = false;
    });
    do assert.equal(await app().visit(), 200);
    while (attacking);
    for (const { status } of await attack) assert.equal(status, 422);
  });

  for (const [mailbox, email] of [
    ['a mailbox, whatever the tag', ONE_MAILBOX],
    ['a mailbox of Gmail, wherever the dots', ONE_GMAIL],
  ] as const)
    it(`five mails a day for ${mailbox}, from however many networks`, async () => {
      const before = await app().mails();
      for (let n = 0; n < 25; n++) {
        const { status, retryAfter } = await signUp({ email: email(n), name: 'Ada' });
        assert.equal(status, n < MOST_FOR_A_MAILBOX ? 201 : 429, email(n));
        assert.equal(retryAfter > 0, status === 429);
      }
      assert.equal(await app().mails(), before + MOST_FOR_A_MAILBOX);
    });
}
