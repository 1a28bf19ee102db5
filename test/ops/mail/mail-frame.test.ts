import assert from 'node:assert/strict';
import { frameHtml, remoteImages } from '../../../lib/ops/mail/mail-frame';

describe('the frame of a mail', () => {
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
