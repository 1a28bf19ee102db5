import assert from 'node:assert/strict';
import { frameHtml, remoteImages } from '../../../lib/ops/mail/mail-frame';
import { openMail } from '../../../lib/ops/mail/parsed-mail';

const DOT = { name: 'dot.png', type: 'image/png', content: Buffer.from('dot'), cid: 'dot.png@shop' };
const BASE = '<base target="_blank">';

describe('the frame of a mail', () => {
  it('opens links in new windows, whatever the HTML begins with', () => {
    const of = (html: string) => frameHtml({ html, attachments: [] });
    assert.equal(
      of('<!doctype html><html><HEAD lang="en"><title>'),
      `<!doctype html><html><HEAD lang="en">${BASE}<title>`,
    );
    assert.equal(of('\n<!DOCTYPE html>\n<p>Hi'), `\n<!DOCTYPE html>${BASE}\n<p>Hi`);
    assert.equal(of('<p>Hi'), `${BASE}<p>Hi`);
  });

  it('embeds attached images, but no other attachments', () => {
    const odd = { ...DOT, type: 'text/html', cid: 'odd' };
    const html = `<img src="cid:dot.png@shop"><img src='cid:dot.png%40shop'><p style="background: url(cid:dot.png@shop)">
      <img src="cid:odd"><img src="cid:missing"><img src="cid:%">`;
    const shown = frameHtml({ html, attachments: [DOT, odd] });
    assert.equal(shown.match(/data:image\/png;base64,ZG90/g)?.length, 3);
    assert.equal(shown.match(/cid:(odd|missing|%)/g)?.length, 3);
    assert.equal(frameHtml({ html: null, attachments: [DOT] }), '');
  });

  it('has a bounded size, however often an image is used', () => {
    const large = { ...DOT, content: Buffer.alloc(1_000_000) };
    const shown = frameHtml({ html: '<img src="cid:dot.png@shop">'.repeat(1000), attachments: [large] });
    assert.ok(shown.length < 30_000_000, String(shown.length));
  });

  it('detects remote images', () => {
    const html = `<img alt="" src="https://x/1.png"><img src=http://x/2><td background='https://x/3'><p style="background:url(&quot;x)">
      <p style="background: url( 'https://x/4' )"><img src="data:image/png;base64,"><a href="https://x/5">`;
    assert.equal(remoteImages(html), 4);
    assert.equal(remoteImages(null), 0);
  });

  it('is made in linear time even of malicious input', () => {
    /** CPU time, ms: wall-clock time would include other processes. */
    const timeOf = (html: string) => {
      const since = process.cpuUsage();
      remoteImages(html);
      frameHtml({ html, attachments: [] });
      const { user, system } = process.cpuUsage(since);
      return (user + system) / 1000;
    };
    for (const odd of [
      '<',
      '<!--',
      '<style>',
      '<head ',
      '<img ',
      '<img src',
      '&#',
      'cid:',
      'url(',
      '\u200b ',
      '<p>x ',
    ]) {
      timeOf(odd.repeat(1000));
      const short = Math.max(5, timeOf(odd.repeat(10_000)));
      const long = timeOf(odd.repeat(200_000));
      // The input is twenty times as long. Quadratic time would be four hundred times as much.
      assert.ok(long < short * 150, `${odd}: ${short} ms, ${long} ms`);
    }
  });
});

const opened = (...lines: string[]) => openMail(Buffer.from(lines.join('\r\n')));

describe('openMail', () => {
  it('parses a message', async () => {
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

  it('copes with broken messages', async () => {
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
