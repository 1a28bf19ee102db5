import assert from 'node:assert/strict';
import routes from '../../lib/app/routes';
import { Serving } from '../web/serving';

describe('landing page', () => {
  let serving: Serving;
  before(async () => {
    serving = await Serving.start({ routes });
  });
  after(() => serving.stop());

  it('is a page with commands that work when pasted', async () => {
    const { status, headers, text } = await serving.request('/', { headers: { host: 'shop.example:8080' } });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.match(text, /curl -X POST http:\/\/shop\.example:8080\/users/);
    assert.doesNotMatch(text, /\{\{|null\/users/);
  });

  it('takes no markup from the Host header', async () => {
    for (const host of ['"><script>', 'a/b', "a'b", 'a:b']) {
      const { status, text } = await serving.request('/', { headers: { host } });
      assert.ok(!text.includes(host), host);
      // RFC 3986 allows an apostrophe in a host; for the others the request is refused before the page.
      if (host === "a'b") assert.match(text, /curl -X POST http:\/\/localhost:3000\/users/);
      else assert.equal(status, 400, host);
    }
  });

  it('has nothing inline that the policy forbids', async () => {
    const { text } = await serving.request('/');
    assert.doesNotMatch(text, /<script|<style|\sstyle=|\son\w+=/);
  });

  it('links only to what is there', async () => {
    const { text } = await serving.request('/');
    const links = [...text.matchAll(/(?:href|src)="([^"#][^"]*)"/g)].map(([, link = '']) => link);
    assert.ok(links.length >= 5);
    for (const link of links) assert.equal((await serving.request(link)).status, 200, link);
    assert.equal((await serving.request('/favicon.ico')).status, 200);
  });

  it('lets browsers keep the style and the icon, and ask again for the page', async () => {
    const page = await serving.request('/');
    assert.equal(page.headers['cache-control'], 'no-cache');
    const again = await serving.request('/', { headers: { 'if-none-match': page.headers.etag } });
    assert.deepEqual([again.status, again.text], [304, '']);
    const [, style = ''] = /href="(\/home\.css\?v=[^"]+)"/.exec(page.text) ?? [];
    const { headers } = await serving.request(style);
    assert.deepEqual(
      [headers['content-type'], headers['cache-control']],
      ['text/css; charset=utf-8', 'public, max-age=31536000, immutable'],
    );
    assert.equal((await serving.request('/favicon.svg')).headers['content-type'], 'image/svg+xml');
  });
});
