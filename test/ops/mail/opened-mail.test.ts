import assert from 'node:assert/strict';
import { openMail } from '../../../lib/ops/mail/opened-mail';

const opened = (...lines: string[]) => openMail(Buffer.from(lines.join('\r\n')));

describe('openMail', () => {
  it('takes a message apart', async () => {
    const mail = await opened(
      ...['From: =?UTF-8?B?6rmA66+87KeA?= <minji@example.com>', 'To: Team: a@example.com, "B, C" <b@example.com>;'],
      ...[
        'Subject: =?UTF-8?Q?Caf=C3=A9?=',
        ' folded',
        'Content-Language: ko, en',
        'Date: Thu, 12 Mar 2026 14:02:11 +0000',
      ],
      ...['Message-ID: <1@example.com>', '', 'Hello'],
    );
    assert.equal(mail.from, '김민지 <minji@example.com>');
    assert.deepEqual(mail.to, ['a@example.com', 'B, C <b@example.com>']);
    assert.equal(mail.subject, 'Café folded');
    assert.equal(mail.locale, 'ko');
    assert.equal(mail.date?.toISOString(), '2026-03-12T14:02:11.000Z');
    assert.deepEqual([mail.html, mail.text?.trim()], [null, 'Hello']);
    assert.deepEqual(mail.headers.map(({ name, value }) => `${name}=${value}`).slice(0, 3), [
      'From=김민지 <minji@example.com>',
      'To=Team: a@example.com, "B, C" <b@example.com>;',
      'Subject=Café folded',
    ]);
  });

  it('makes the best of what is broken', async () => {
    for (const source of [
      '',
      'no header at all',
      'Date: never\r\n\r\nx',
      'Content-Type: multipart/mixed\r\n\r\n--\r\n',
      '\0\r\n\r\n',
    ]) {
      const mail = await openMail(Buffer.from(source));
      assert.deepEqual([mail.subject, mail.from, mail.date, mail.attachments], ['', '', null, []], source);
    }
    const cut = await opened(
      'Content-Type: multipart/mixed; boundary=x',
      '',
      '--x',
      'Content-Type: text/html',
      '',
      '<p>cut o',
    );
    assert.match(cut.html ?? '', /<p>cut o/);
    const nested = 'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n'.repeat(100);
    await assert.rejects(openMail(Buffer.from(nested)), /nesting/i);
  });
});
