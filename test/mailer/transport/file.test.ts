import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { simpleParser } from 'mailparser';
import { Events } from '../../../lib/core/events';
import { readSettings } from '../../../lib/core/settings';
import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';
import { FileTransport } from '../../../lib/mailer/transport/local-transports';
import { openTransport } from '../../../lib/mailer/transport/open-transport';
import { tempFolder } from '../../support/temp-folder';

function message(more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    messageId: '<job-1.abc.1@shop.example>',
    date: new Date('2026-11-25T01:02:03.004Z'),
    from: { name: 'Shop', address: 'hello@shop.example' },
    to: [{ name: '민지', address: 'minji@example.com' }],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: '환영합니다 🐈',
    text: '안녕하세요\n',
    html: '<p>안녕하세요</p>',
    headers: {},
    ...more,
  };
}

describe('FileTransport', () => {
  it('writes the MIME message into a folder that it creates, readable by its owner only', async () => {
    const folder = path.join(tempFolder('mail'), 'deep/mails');
    const settings = { ...readSettings({ env: { MAIL_DELIVERY: 'file' }, cwd: '/' }).mail, dir: folder };
    const { response = '' } = await openTransport(settings, new Events()).send(message());
    assert.equal(response, path.join(folder, '20261125T010203.004Z-job-1.abc.1.eml'));
    assert.equal(fs.statSync(response).mode & 0o777, 0o600);
    assert.equal(fs.statSync(folder).mode & 0o777, 0o700);
    const raw = fs.readFileSync(response, 'utf8');
    assert.doesNotMatch(raw, /[^\r]\n/);
    const mail = await simpleParser(raw);
    assert.equal(mail.subject, '환영합니다 🐈');
    assert.equal(mail.messageId, '<job-1.abc.1@shop.example>');
    assert.equal(mail.html, '<p>안녕하세요</p>');
    assert.equal(mail.text?.trim(), '안녕하세요');
  });

  it('gives files names that sort by time and stay inside the folder', async () => {
    const folder = tempFolder('mail');
    const transport = new FileTransport(folder);
    for (const [n, iso] of [
      '2026-11-25T01:02:03.009Z',
      '2026-11-25T01:02:03.010Z',
      '2026-12-01T00:00:00.000Z',
    ].entries())
      await transport.send(message({ date: new Date(iso), messageId: `<../../x${9 - n}/y@shop.example>` }));
    const names = fs.readdirSync(folder).sort();
    assert.deepEqual(
      names.map((name) => name.replace(/^.*-/, '')),
      ['....x9y.eml', '....x8y.eml', '....x7y.eml'],
    );
  });

  it('writes each file atomically', async () => {
    const folder = tempFolder('mail');
    const seen: string[] = [];
    const watching = fs.watch(folder, (_event, name) => {
      if (!name?.endsWith('.eml')) return;
      const file = path.join(folder, name);
      if (fs.existsSync(file)) seen.push(fs.readFileSync(file, 'utf8'));
    });
    const text = `${'x'.repeat(70)}\n`.repeat(30_000);
    const transport = new FileTransport(folder);
    const sent = Array.from({ length: 10 }, (_, n) =>
      transport.send(message({ messageId: `<m${n}@x>`, text, html: text })),
    );
    await Promise.all(sent);
    const names = fs.readdirSync(folder);
    watching.close();
    assert.equal(names.length, 10);
    assert.ok(names.every((name) => name.endsWith('.eml')));
    assert.ok(seen.every((raw) => /--\r\n$/.test(raw)));
  });

  it('fails when the folder cannot be created', async () => {
    const file = path.join(tempFolder('mail'), 'taken');
    fs.writeFileSync(file, '');
    await assert.rejects(new FileTransport(path.join(file, 'mails')).send(message()), /ENOTDIR|EEXIST/);
  });
});
