import assert from 'node:assert/strict';
import fs from 'node:fs';
import knex from 'knex';
import routes from '../../lib/app/routes';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import { opsPages } from '../../lib/ops/mount';
import { singleTree } from '../ops/single-tree';
import { inSuite } from '../support/suite';
import { Serving } from '../web/serving';

describe('the landing page', () => {
  const serving = inSuite('stop', () => Serving.start({ routes }));

  it('has commands that work when pasted', async () => {
    const { status, headers, text } = await serving.request('/', { headers: { host: 'shop.example:8080' } });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.match(text, /curl -X POST http:\/\/shop\.example:8080\/users/);
    assert.doesNotMatch(text, /\{\{|null\/users/);
  });

  it('inserts no markup from the Host header', async () => {
    for (const host of ['"><script>', 'a/b', "a'b", 'a:b']) {
      const { status, text } = await serving.request('/', { headers: { host } });
      assert.ok(!text.includes(host), host);
      // RFC 3986 allows an apostrophe in a host; the other requests are rejected before the page is rendered.
      if (host === "a'b") assert.match(text, /curl -X POST http:\/\/localhost:3000\/users/);
      else assert.equal(status, 400, host);
    }
  });

  it('links only to existing pages', async () => {
    const { text } = await serving.request('/');
    const links = [...text.matchAll(/(?:href|src)="([^"#][^"]*)"/g)].map(([, link = '']) => link);
    assert.ok(links.length >= 5);
    assert.ok(!links.some((link) => link.startsWith('/ops')), 'this app has no such pages');
    for (const link of links) assert.equal((await serving.request(link)).status, 200, link);
    assert.equal((await serving.request('/favicon.ico')).status, 200);
  });

  it('is in the language of the browser, in every text', async () => {
    const [en, ko] = await Promise.all(
      ['en-GB', 'ko-KR,ko;q=0.9,en;q=0.5'].map((liked) =>
        serving.request('/', { headers: { 'accept-language': liked } }),
      ),
    );
    assert.match(en?.text ?? '', /<html lang="en">[\s\S]*One command runs it all/);
    assert.match(ko?.text ?? '', /<html lang="ko">[\s\S]*명령 하나로 모두 실행합니다/);
    assert.equal(ko?.headers.vary, 'Host, Accept-Language');
    assert.doesNotMatch(ko?.text ?? '', /\{\{/);
    const textsOf = (locale: string) =>
      Object.keys(JSON.parse(fs.readFileSync(`lib/app/views/home.${locale}.json`, 'utf8')));
    assert.deepEqual(textsOf('ko'), textsOf('en'));
    // No text may be the same in both languages, except for commands.
    const words = (text = '') =>
      new Set([...text.matchAll(/>([^<>]*[a-z]{3,} [a-z]{3,}[^<>]*)</g)].map(([, found]) => found));
    const commands = /curl|^npm start$|^ls |^\n? *-[Hd]|"id"|^\{/;
    const both = [...words(ko?.text)].filter((found) => words(en?.text).has(found) && !commands.test(found ?? ''));
    assert.deepEqual(both, []);
  });

  it('links to the tree and the mails for those who can open them', async () => {
    const at = async (config: ReturnType<typeof readSettings>, headers = {}) => {
      const events = new Events();
      // The pages themselves are not requested, so nothing needs to be connected.
      const stores = { redis: new Redis('redis://127.0.0.1:1', events), knex: knex({ client: 'pg' }) };
      const beside = opsPages({
        config,
        appName: 'shop',
        events,
        ...stores,
        tree: singleTree(config, events),
        jobs: { classes: async () => [], filterArguments: [] },
        models: { get: () => undefined, values: () => [], place: 'nowhere' },
        isLeaving: () => false,
        previews: { folder: '', madeOf: [], locales: '' },
      });
      const shop = await Serving.start({ routes, beside });
      try {
        const { text } = await shop.request('/', { headers });
        return [...text.matchAll(/href="(\/ops[^"]*)"/g)].map(([, link]) => link);
      } finally {
        await shop.stop();
        await stores.knex.destroy();
      }
    };
    const settings = (env: Record<string, string> = {}) => readSettings({ cwd: '/nowhere', env });
    const inbox = '/ops/mail/inbox';
    assert.deepEqual(await at(settings()), ['/ops', inbox, inbox]);
    assert.deepEqual(await at(settings({ MAIL_DELIVERY: 'log' })), ['/ops']);
    assert.deepEqual(await at(settings(), { host: 'shop.example' }), [], 'the pages are only open to this machine');
    assert.deepEqual(await at(settings(), { 'x-forwarded-for': '1.2.3.4' }), []);
    const signed = { OPS_USER: 'ada', OPS_PASSWORD: 'a long password' };
    assert.deepEqual(await at(settings(signed), { host: 'shop.example' }), ['/ops', inbox, inbox]);
    const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://h/d', REDIS_URL: 'redis://h' };
    assert.deepEqual(await at(settings({ ...production, MAIL_DELIVERY: 'log' })), []);
  });

  it('lets browsers cache the style sheet, and revalidate the page', async () => {
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
