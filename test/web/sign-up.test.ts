import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseDisplayName, parseEmail } from '../../lib/web/sign-up';
import { BAD_EMAILS, BAD_NAMES, GOOD_EMAILS, GOOD_NAMES, ONE_GMAIL, ONE_MAILBOX } from '../app/sign-up-input';

const shown = (value: unknown) => (JSON.stringify(value) ?? 'undefined').slice(0, 60);

describe('what strangers enter at sign-up:', () => {
  it('an address that every mail server accepts is accepted, trimmed, and nothing else is', () => {
    for (const email of GOOD_EMAILS) assert.equal(parseEmail(email)?.address, email.trim(), email);
    for (const email of BAD_EMAILS) assert.equal(parseEmail(email), undefined, shown(email));
  });

  it('all addresses of one mailbox are known as such, and no others', () => {
    const mailboxes = (email: (n: number) => string) =>
      new Set(Array.from({ length: 12 }, (_, n) => parseEmail(email(n))?.mailbox ?? assert.fail(email(n))));
    assert.deepEqual([...mailboxes(ONE_MAILBOX)], ['victim@company.example']);
    assert.deepEqual([...mailboxes(ONE_GMAIL)], ['victim@gmail.com']);
    assert.deepEqual([...mailboxes((n) => `ada.${n}@Example.com`)].length, 12, 'a dot matters elsewhere');
    assert.deepEqual([...mailboxes((n) => `+${n}@example.com`)].length, 12, 'a tag needs a name before it');
    assert.equal(parseEmail('ada@EXAMPLE.com')?.domain, 'example.com');
    assert.equal(parseEmail('ada@googlemail.com')?.domain, 'gmail.com');
  });

  it('the names of people are accepted, and no text that a mail program would turn into a link', () => {
    for (const name of GOOD_NAMES) assert.equal(parseDisplayName(` ${name} `), name, name);
    for (const name of BAD_NAMES) assert.equal(parseDisplayName(name), undefined, shown(name));
  });

  it('anything is checked without an error, and what is accepted is accepted again', () => {
    const piece = fc.constantFrom(
      'a',
      'A',
      '@',
      '.',
      '+',
      ' ',
      '-',
      'com',
      '。',
      '．',
      '\u200b',
      '/',
      ':',
      '1',
      'St.',
      '\0',
      '한',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 100 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(fc.oneof(text, fc.anything()), (value) => {
        const email = parseEmail(value);
        if (email) {
          assert.deepEqual(parseEmail(email.address), email);
          assert.equal(parseEmail(email.mailbox)?.mailbox, email.mailbox);
        }
        const name = parseDisplayName(value);
        if (name !== undefined) {
          assert.equal(parseDisplayName(name), name);
          assert.doesNotMatch(name.normalize('NFKC'), /[\p{Cc}\p{Bidi_C}]|:\/\/|\S@\S|[a-z]{2}\.com/u);
        }
      }),
    );
    fc.assert(fc.property(fc.emailAddress(), (email) => parseEmail(email) !== undefined || email.length > 254));
  });

  it('the time that a check takes grows no faster than its input', () => {
    // Anything quadratic would take hours for these, whose pieces are what the patterns repeat.
    const piece = fc.string({
      unit: fc.constantFrom('a', '1', '@', '.', '+', ' ', '-', '。', '\u200b', '한', ':'),
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(piece, piece, piece, (head, repeated, tail) => {
        const value = head + repeated.repeat(1_000_000) + tail;
        parseEmail(value);
        parseDisplayName(value);
      }),
      { numRuns: 20 },
    );
  });
});
