import assert from 'node:assert/strict';
import { frameHtml, remoteImages } from '../../../lib/ops/mail/frame';

const DOT = { name: 'dot.png', type: 'image/png', content: Buffer.from('dot'), cid: 'dot.png@shop' };
const BASE = '<base target="_blank">';

describe('the frame of a mail', () => {
  it('opens links in windows of their own, whatever the HTML begins with', () => {
    const of = (html: string) => frameHtml({ html, attachments: [] });
    assert.equal(
      of('<!doctype html><html><HEAD lang="en"><title>'),
      `<!doctype html><html><HEAD lang="en">${BASE}<title>`,
    );
    assert.equal(of('\n<!DOCTYPE html>\n<p>Hi'), `\n<!DOCTYPE html>${BASE}\n<p>Hi`);
    assert.equal(of('<p>Hi'), `${BASE}<p>Hi`);
  });

  it('shows images that the mail carries, and only images', () => {
    const odd = { ...DOT, type: 'text/html', cid: 'odd' };
    const html = `<img src="cid:dot.png@shop"><img src='cid:dot.png%40shop'><p style="background: url(cid:dot.png@shop)">
      <img src="cid:odd"><img src="cid:missing"><img src="cid:%">`;
    const shown = frameHtml({ html, attachments: [DOT, odd] });
    assert.equal(shown.match(/data:image\/png;base64,ZG90/g)?.length, 3);
    assert.equal(shown.match(/cid:(odd|missing|%)/g)?.length, 3);
    assert.equal(frameHtml({ html: null, attachments: [DOT] }), '');
  });

  it('does not grow without bounds, however often an image is shown', () => {
    const large = { ...DOT, content: Buffer.alloc(1_000_000) };
    const shown = frameHtml({ html: '<img src="cid:dot.png@shop">'.repeat(1000), attachments: [large] });
    assert.ok(shown.length < 30_000_000, String(shown.length));
  });

  it('knows of images that lie elsewhere', () => {
    const html = `<img alt="" src="https://x/1.png"><img src=http://x/2><td background='https://x/3'><p style="background:url(&quot;x)">
      <p style="background: url( 'https://x/4' )"><img src="data:image/png;base64,"><a href="https://x/5">`;
    assert.equal(remoteImages(html), 4);
    assert.equal(remoteImages(null), 0);
  });
});
