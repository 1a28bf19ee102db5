import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkedHeaders, checkedSubject, mailboxes, mergedHeaders } from '../../lib/mailer/compose/headers';
import { InvalidMailError } from '../../lib/mailer/definition/errors';
import { addressKey, isAddress } from '../../lib/support/email-address';

describe('addresses and headers:', () => {
  it('addresses are read from strings, lists and objects', () => {
    assert.deepEqual(mailboxes('to', undefined), []);
    assert.deepEqual(mailboxes('to', ''), []);
    assert.deepEqual(mailboxes('to', 'ada@example.com'), [{ name: '', address: 'ada@example.com' }]);
    assert.deepEqual(mailboxes('to', ['Ada Lovelace <ada@example.com>', { name: '민지', address: 'm@example.com' }]), [
      { name: 'Ada Lovelace', address: 'ada@example.com' },
      { name: '민지', address: 'm@example.com' },
    ]);
    assert.deepEqual(
      mailboxes('cc', 'a@example.com, "B, C" <b@example.com>').map((box) => box.address),
      ['a@example.com', 'b@example.com'],
    );
    assert.deepEqual(mailboxes('to', { name: null, address: ' ada@example.com ' }), [
      { name: '', address: 'ada@example.com' },
    ]);
  });

  it('an object holds a single address', () => {
    for (const address of [
      'a@example.com, b@evil.example',
      'a@example.com b@evil.example',
      '<a@example.com>',
      'nobody',
      '',
    ]) {
      assert.throws(() => mailboxes('to', { address }), InvalidMailError, address);
    }
    assert.throws(() => mailboxes('to', { address: `${'a'.repeat(320)}@example.com` }), InvalidMailError);
    assert.throws(() => mailboxes('to', 'not an address'), {
      message: /^to: "not an address" is not an e-mail address$/,
    });
  });

  it('two addresses without a comma between them are an error, not one address with a name', () => {
    for (const text of [
      'a@example.com b@example.com',
      'a@example.com\tb@example.com',
      'x@example.com, a@example.com b@example.com',
      'a@example.com and b@example.com',
      '<a@example.com> <b@example.com>',
      'Ada <a@example.com> Bob <b@example.com>',
      'a@example.com b@example.com <c@example.com>',
    ])
      assert.throws(
        () => mailboxes('cc', text),
        /^InvalidMailError: cc: ".*" is more than one address: put a comma/,
        text,
      );
    for (const text of [
      'a@example.com <a@example.com>',
      '"ada@work" <a@example.com>',
      'a@example.com (Ada)',
      'Ada @ Work <a@example.com>',
    ])
      assert.equal(mailboxes('to', text)[0]?.address, 'a@example.com', text);
  });

  it('an address is valid only if mail servers accept it', () => {
    for (const address of [
      'a@b',
      'root@localhost',
      "o'brien+x@ex.co",
      'a@münchen.example',
      'a@xn--mnchen-3ya.example',
      'a@xn--a.example',
      `${'a'.repeat(64)}@example.com`,
      `a@${'b'.repeat(63)}.example`,
    ])
      assert.ok(isAddress(address), address);
    for (const address of [
      '.a@example.com',
      'a.@example.com',
      'a..b@example.com',
      'a@example..com',
      'a@.example.com',
      'a@example.com.',
      'a@-x.example',
      'a@x-.example',
      'a@x_y.example',
      'a@127.0.0.1',
      'a@0x7f.1',
      'a@[127.0.0.1]',
      'a@example.123',
      'a@ex%61mple.com',
      'a\u0000b@example.com',
      'a\ud800@example.com',
      'a@b@example.com',
      `${'a'.repeat(65)}@example.com`,
      '민지@example.com',
      `a@${'b'.repeat(64)}.example`,
      `a@${'b.'.repeat(126)}example`,
      // Three million characters, which would take minutes to convert.
      `a@${String.fromCodePoint(...Array.from({ length: 20_000 }, (_, n) => 0x4e00 + n)).repeat(150)}.example`,
    ])
      assert.ok(!isAddress(address), address);
  });

  it('every address of the form that HTML input fields accept is valid', () => {
    fc.assert(fc.property(fc.emailAddress(), (address) => isAddress(address)));
    // The form that sign-up accepts.
    const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}";
    const mailbox = new RegExp(
      `^${atom}(\\.${atom}){0,2}@([A-Za-z0-9]([A-Za-z0-9-]{0,9}[A-Za-z0-9])?\\.){1,3}[A-Za-z]{2,9}$`,
    );
    fc.assert(fc.property(fc.stringMatching(mailbox), (address) => isAddress(address)));
  });

  it('addresses of the same mailbox have the same key', () => {
    assert.equal(addressKey('Ada@EXAMPLE.com'), 'Ada@example.com');
    assert.equal(addressKey('a@münchen.example'), addressKey('a@XN--MNCHEN-3YA.example'));
    assert.notEqual(addressKey('ada@example.com'), addressKey('Ada@example.com'));
    assert.equal(addressKey('unknown'), 'unknown');
  });

  it('names, addresses and headers must not contain line breaks', () => {
    for (const value of ['Ada\r\nBcc: x@evil.example', 'Ada\nx', 'Ada\rx', 'Ada\0']) {
      assert.throws(() => mailboxes('to', { name: value, address: 'a@example.com' }), /contains a line break/);
      assert.throws(() => mailboxes('to', `${value} <a@example.com>`), /contains a line break/);
      assert.throws(() => checkedHeaders({ 'X-Note': value }), /contains a line break/);
    }
    assert.throws(() => mailboxes('to', { address: 'a@example.com\r\nx' }), InvalidMailError);
  });

  it('a value of a wrong type, as plain JavaScript may pass it, is quoted in the error', () => {
    for (const [given, shown] of [
      [null, 'null'],
      [5, '5'],
      [{}, '{}'],
      [{ address: 5 }, '{"address":5}'],
      [{ name: 'Ada', address: null }, '"Ada"'],
      [[null], 'null'],
      [[['ada@example.com']], '["ada@example.com"]'],
    ]) {
      const expected = { name: 'InvalidMailError', message: `to: ${shown} is not an e-mail address` };
      assert.throws(() => mailboxes('to', given as never), expected);
    }
    assert.throws(
      () => mailboxes('to', { name: 5, address: 'a@example.com' } as never),
      /^InvalidMailError: to: 5 is not a text$/,
    );
  });

  it('a list may have any length, but no word may exceed the line length of SMTP', () => {
    assert.equal(mailboxes('bcc', 'a@example.com, '.repeat(2000)).length, 2000);
    assert.throws(
      () => mailboxes('to', { name: 'x'.repeat(999), address: 'a@example.com' }),
      /999 characters is too long/,
    );
    assert.throws(() => checkedHeaders({ 'X-Note': `a ${'x'.repeat(999)}` }), /X-Note: a text of 999 characters/);
    assert.ok(checkedHeaders({ 'X-Note': 'words '.repeat(1000) }));
  });

  it('header values must be strings, one per name', () => {
    // nodemailer would treat such an object as an already folded and encoded header.
    const prepared = { prepared: true, value: 'a\r\nBcc: x@evil.example' };
    assert.throws(() => checkedHeaders({ 'X-Note': prepared as never }), /X-Note: \[object Object\] is not a text/);
    assert.throws(() => checkedSubject(prepared), /subject: \[object Object\] is not a text/);
    assert.throws(() => checkedSubject('x'.repeat(999)), InvalidMailError);
    assert.equal(checkedSubject('x'.repeat(998)).length, 998);
    assert.deepEqual(mergedHeaders({ 'X-A': '1', 'X-B': '1' }, undefined, { 'x-a': '2' }), { 'x-a': '2', 'X-B': '1' });
  });

  it('header names must be valid, and not those that the mail sets itself', () => {
    assert.deepEqual(checkedHeaders({ 'X-Shop': '1' }), { 'X-Shop': '1' });
    const own = 'From To Cc Bcc Reply-To SUBJECT Date message-id MIME-Version Content-Type Content-Transfer-Encoding';
    for (const name of ['X Shop', 'X-Shop:', '', 'X\r\nBcc', ...own.split(' ')])
      assert.throws(() => checkedHeaders({ [name]: '1' }), InvalidMailError, name);
  });
});
