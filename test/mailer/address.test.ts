import assert from 'node:assert/strict';
import { mailboxes } from '../../lib/mailer/address';
import { InvalidMailError } from '../../lib/mailer/errors';
import { checkedHeaders } from '../../lib/mailer/headers';

describe('addresses', () => {
  it('reads texts, lists and objects', () => {
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

  it('takes no second address out of an object', () => {
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

  it('refuses line breaks in names, addresses and headers', () => {
    for (const value of ['Ada\r\nBcc: x@evil.example', 'Ada\nx', 'Ada\rx', 'Ada\0']) {
      assert.throws(() => mailboxes('to', { name: value, address: 'a@example.com' }), /holds a line break/);
      assert.throws(() => mailboxes('to', `${value} <a@example.com>`), /holds a line break/);
      assert.throws(() => checkedHeaders({ 'X-Note': value }), /holds a line break/);
    }
    assert.throws(() => mailboxes('to', { address: 'a@example.com\r\nx' }), InvalidMailError);
  });

  it('takes header names only, and none that the mail sets itself', () => {
    assert.deepEqual(checkedHeaders({ 'X-Shop': '1' }), { 'X-Shop': '1' });
    for (const name of ['X Shop', 'X-Shop:', '', 'Bcc', 'SUBJECT', 'message-id', 'X\r\nBcc'])
      assert.throws(() => checkedHeaders({ [name]: '1' }), InvalidMailError, name);
  });
});
