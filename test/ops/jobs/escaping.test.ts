import assert from 'node:assert/strict';
import { ShopPages } from './shop-pages';

/** Runs a script, breaks out of its context or turns the words that follow it unless it is escaped. */
const EVIL = `"><img src=x onerror=alert(1)>'</title></pre><script>alert(2)</script><svg/onload=alert(3)>{{12345*67891}}<%= 12345*67891 %>\u202e`;
const MARKUP = /<img|<script>|<svg\/|onerror=alert\(1\)>'<|<i>"/;

describe('jobs with hostile names, arguments, errors and tags', () => {
  let shop: ShopPages;
  const paths: string[] = [];
  before(async () => {
    shop = await ShopPages.start();
    const hostile = {
      class: EVIL,
      args: [{ [EVIL]: EVIL }, EVIL],
      tags: [EVIL],
      requestId: EVIL,
      attributes: { [EVIL]: EVIL },
      errors: [`${EVIL}\nCaused by: ${EVIL}\n    at ${EVIL} (/x.js:1:1)`],
      reason: EVIL,
      progress: EVIL,
    };
    // The sample shop's own class, so that its arguments are shown.
    const own = { ...hostile, class: 'SyncInvoiceJob' };
    const at = Date.now() + 3_600_000;
    const unknown = await shop.storeDead(hostile);
    const waiting = await shop.store('ready', own);
    const others = [
      await shop.storeDead(own),
      await shop.storeDead({ payload: JSON.stringify(EVIL) }),
      await shop.store('scheduled', { ...own, at }),
    ];
    await shop.store('scheduled', { ...hostile, errors: [], at });
    await shop.pause('default', EVIL);
    await shop.ops.database.query(
      'insert into job_cron (name, class, spec, time_zone, catch_up) values ($1, $1, $2, $3, $4)',
      [EVIL, '* * * * *', 'UTC', 'once'],
    );
    const query = encodeURIComponent(EVIL);
    paths.push(
      ...'dead retry scheduled queues queues/default cron batches busy classes'
        .split(' ')
        .map((name) => `/ops/jobs/${name}`),
      ...[unknown, waiting, ...others].map((id) => `/ops/jobs/job/default/${id}`),
      `/ops/jobs/job/default/${waiting}/delete`,
      ...['q', 'class', 'error', 'tag'].map((name) => `/ops/jobs/dead?${name}=${query}`),
      `/ops/jobs/queues/default?q=${query}&class=${query}`,
      `/ops/search?q=${query}`,
      `/ops/jobs/dead/confirm?all=1&q=${encodeURIComponent('onerror')}`,
      `/ops/jobs/dead/confirm?action=delete&id=${encodeURIComponent(`default/${unknown}`)}`,
    );
  });
  after(() => shop?.stop());

  it('are shown escaped, and none of them runs', async () => {
    for (const path of paths) {
      const { body, status, headers } = await shop.operator.get(path);
      assert.equal(status, 200, path);
      assert.doesNotMatch(body, MARKUP, path);
      assert.match(String(headers['content-security-policy']), /default-src 'none'.*script-src 'self'/);
      assert.doesNotMatch(body, / style=/);
      assert.doesNotMatch(body.replaceAll(/ value="[^"]*"/g, ''), /\u202e/, path);
      assert.doesNotMatch(body, /838114395/, `${path} computes what it is given`);
    }
    assert.ok((await shop.operator.read('/ops/jobs/dead')).includes(EVIL.slice(2, 29)));
  });

  it('are on pages that have a text for everything, in both languages', async () => {
    const acts = ['retry', 'promote', 'kill', 'delete'];
    const asked = ['retry', 'scheduled', 'dead'].flatMap((list) =>
      acts.map((act) => `/ops/jobs/${list}/confirm?all=1&action=${act}`),
    );
    for (const path of [...paths, ...asked]) {
      for (const locale of ['en', 'ko']) {
        const { body, status } = await shop.operator.get(`${path}${path.includes('?') ? '&' : '?'}locale=${locale}`);
        if (status !== 400)
          assert.doesNotMatch(body, /\b(jobs|pages|errors|time|nav)\.[a-z]\w*\.?\w*[<" ]/i, `${path} in ${locale}`);
      }
    }
  });

  it('are escaped in error pages, too', async () => {
    for (const name of ['page', 'queue', 'when']) {
      const { body, status } = await shop.operator.get(`/ops/jobs/dead?${name}=${encodeURIComponent(EVIL)}`);
      assert.equal(status, 400);
      assert.doesNotMatch(body, MARKUP);
    }
    for (const path of ['%2e%2e/%2e%2e/etc/passwd', 'job/..%2f..%2fx/y', 'queues/..%2fdead'])
      assert.equal((await shop.operator.get(`/ops/jobs/${path}`)).status, 404, path);
  });
});
