import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Attachments } from '../../lib/mailer/compose/mail';
import { AttachmentError, InvalidMailError } from '../../lib/mailer/definition/errors';
import { tempFolder } from '../support/temp-folder';

describe('Attachments', () => {
  const read = (attachments: Attachments) => attachments.read('UserMailer#welcome');

  it('accepts strings, bytes and files, and keeps their order', async () => {
    const file = path.join(tempFolder('attachment'), 'terms.pdf');
    fs.writeFileSync(file, 'terms');
    const attachments = new Attachments();
    attachments.attach('a.txt', '민지');
    attachments.attach('b.bin', new Uint8Array([0, 1, 2, 3]).subarray(1), {
      type: 'application/x-thing; charset=utf-8',
    });
    attachments.attach('c.pdf', { path: file });
    attachments.attach('d.txt', '');
    assert.deepEqual(await read(attachments), [
      { name: 'a.txt', content: Buffer.from('민지') },
      { name: 'b.bin', content: Buffer.from([1, 2, 3]), type: 'application/x-thing; charset=utf-8' },
      { name: 'c.pdf', content: Buffer.from('terms') },
      { name: 'd.txt', content: Buffer.from('') },
    ]);
  });

  it('reads a file when the mail is sent, not before', async () => {
    const file = path.join(tempFolder('attachment'), 'late.txt');
    const attachments = new Attachments();
    attachments.attach('late.txt', { path: file });
    fs.writeFileSync(file, 'here');
    assert.equal((await read(attachments))[0]?.content.toString(), 'here');
  });

  it('names what cannot be read, and why', async () => {
    const folder = tempFolder('attachment');
    const missing = new Attachments();
    missing.attach('terms.pdf', { path: path.join(folder, 'none.pdf') });
    await assert.rejects(read(missing), (error) => {
      assert.ok(error instanceof AttachmentError);
      const file = path.join(folder, 'none.pdf');
      const expected = `UserMailer#welcome: the attachment "terms.pdf" cannot be read from ${file}: there is no such file`;
      assert.equal(error.message, expected);
      return true;
    });
    const wrong = new Attachments();
    wrong.attach('terms.pdf', { path: folder });
    await assert.rejects(read(wrong), /that is a folder/);
  });

  it('gives each inline attachment a URL that depends on its name and content', async () => {
    const attachments = new Attachments();
    const logo = attachments.inline('logo.png', 'one');
    assert.match(logo, /^cid:logo\.png\.[0-9a-f]{16}@inline$/);
    assert.equal(attachments.inline('logo.png', 'one'), logo);
    assert.notEqual(attachments.inline('other logo.png', 'one'), logo);
    const second = attachments.inline('logo.png', 'two');
    assert.notEqual(second, logo);
    assert.equal(attachments.url('logo.png'), second);
    assert.equal(new Attachments().inline('logo.png', 'one'), logo);
    const ofFile = (file: string) => new Attachments().inline('logo.png', { path: file });
    assert.notEqual(ofFile('/one.png'), ofFile('/two.png'));
    const all = await read(attachments);
    assert.deepEqual(
      all.map(({ cid }) => `cid:${cid}`),
      [logo, attachments.url('other logo.png'), second],
    );
  });

  it('lists the inline attachments when a name is unknown', () => {
    const attachments = new Attachments();
    assert.throws(() => attachments.url('logo.png'), /no inline attachment "logo\.png"; there is none/);
    attachments.attach('logo.png', 'x');
    attachments.inline('icon.png', 'x');
    assert.throws(() => attachments.url('logo.png'), /no inline attachment "logo\.png"; there is icon\.png/);
  });

  it('rejects more than 50 MB in all, without reading the files', async () => {
    const file = path.join(tempFolder('attachment'), 'film.mp4');
    fs.writeFileSync(file, '');
    fs.truncateSync(file, 50e6 - 1000);
    const attachments = new Attachments();
    attachments.attach('a.mp4', { path: file });
    attachments.attach('b.txt', 'x'.repeat(1000));
    assert.equal((await read(attachments)).length, 2);
    attachments.attach('c.txt', 'y');
    await assert.rejects(read(attachments), {
      name: 'InvalidMailError',
      message: 'UserMailer#welcome: its attachments total 51 MB, and the maximum is 50 MB: send a link instead',
    });
  });

  it('rejects invalid names, types and contents', () => {
    const attachments = new Attachments();
    for (const name of ['', '  ', 'a\r\nBcc: x@evil.example', 'a\0'])
      assert.throws(() => attachments.attach(name, 'x'), InvalidMailError);
    for (const type of ['pdf', 'image/png\r\nX: y', 'image/png\r\n ;x=y', 'image/png; x\0', ''])
      assert.throws(() => attachments.attach('a', 'x', { type }), InvalidMailError);
    for (const content of [undefined, null, 5, {}, { path: '' }, { path: 5 }])
      assert.throws(() => attachments.attach('a', content as unknown as string), /a has no content; give a text/);
  });
});
