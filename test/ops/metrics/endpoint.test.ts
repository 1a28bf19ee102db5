import assert from 'node:assert/strict';
import { request } from '../../support/http';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';
import { ScrapedText } from './scrape';

const TOKEN = 'sesame-opens-0123456789';
const PATH = '/ops/metrics';
const PRODUCTION = { NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', MAIL_DELIVERY: 'log' };

describe('/ops/metrics', () => {
  let ops: OpsWeb;
  const start = (env: Readonly<Record<string, string>>) => {
    before(async () => {
      ops = await OpsWeb.start(env);
    });
    after(() => ops?.stop());
  };
  const withToken = (given: string) => ops.get(PATH, { Authorization: given });

  describe('with a token', () => {
    start({ ...PRODUCTION, METRICS_TOKEN: TOKEN });

    it('requires it as a bearer token', async () => {
      const { metrics } = ScrapedText.of(await withToken(`Bearer ${TOKEN}`));
      assert.ok(metrics.has('catamount_http_requests_total'));
      ScrapedText.of(await withToken(`bearer ${TOKEN}`));
      const short = TOKEN.slice(0, -1);
      for (const given of ['', 'Bearer', 'Bearer ', short, `Bearer ${short}`, `Bearer ${TOKEN}x`, `Basic ${TOKEN}`]) {
        const answer = await withToken(given);
        assert.equal(answer.status, 401, JSON.stringify(given));
        assert.equal(answer.headers['www-authenticate'], 'Bearer realm="metrics"');
        assert.equal(answer.json().status, 401);
        assert.doesNotMatch(answer.body, /catamount_/);
      }
      assert.equal((await ops.get(`${PATH}?token=${TOKEN}`)).status, 401);
    });

    it('is available without the pages', async () => {
      assert.equal((await ops.get('/ops')).status, 404);
    });

    it('is read-only and never cached', async () => {
      const headers = { Authorization: `Bearer ${TOKEN}` };
      const head = await request(ops.url + PATH, { method: 'HEAD', headers });
      assert.deepEqual([head.status, head.body], [200, '']);
      assert.equal(head.headers['cache-control'], 'no-store');
      for (const method of ['POST', 'PUT', 'DELETE']) {
        const answer = await request(ops.url + PATH, { method, headers });
        assert.deepEqual([answer.status, answer.headers.allow], [405, 'GET, HEAD']);
      }
    });

    it('reads the values once for concurrent scrapes', async () => {
      const texts = await Promise.all(Array.from({ length: 20 }, () => withToken(`Bearer ${TOKEN}`)));
      // Each reading has a different CPU time of the process.
      assert.ok(new Set(texts.map(({ body }) => body)).size < 20);
    });
  });

  describe('without one, in production', () => {
    start({ ...PRODUCTION, ...SIGNED });

    it('does not exist, even for a signed-in operator', async () => {
      const nothing = await ops.get('/nowhere');
      const cookie = await ops.signIn(SIGNED.OPS_PASSWORD);
      for (const headers of [{}, { Cookie: cookie }, { Authorization: 'Bearer null' }, { Authorization: 'Bearer ' }]) {
        const answer = await ops.get(PATH, headers);
        assert.equal(answer.status, 404);
        assert.deepEqual({ ...answer.json<object>(), requestId: '' }, { ...nothing.json<object>(), requestId: '' });
      }
    });
  });

  describe("on a developer's machine", () => {
    start({});

    it('is open to that machine with the token of the pages, but not to DNS rebinding', async () => {
      ScrapedText.of(await ops.get(PATH));
      assert.equal((await ops.get(PATH, { Host: 'rebound.example' })).status, 403);
      // A proxy on this machine may set Host, and no header that tells of it.
      const through = await request(ops.url + PATH, { headers: { Host: 'localhost' } });
      assert.equal(through.status, 401);
      assert.doesNotMatch(through.body, /catamount_/);
    });

    it('answers while Redis accepts commands but does not reply', async () => {
      ops.redis.pause();
      const scrape = ScrapedText.of(await ops.get(PATH).finally(() => ops.redis.resume()));
      assert.deepEqual([scrape.sum('catamount_postgres_up'), scrape.sum('catamount_redis_up')], [1, 0]);
      assert.equal(scrape.sum('catamount_queue_jobs', { queue: 'default', state: 'waiting' }), 0);
      assert.ok(scrape.metrics.has('catamount_process_cpu_seconds_total'));
      assert.ok(Number.isNaN(scrape.sum('catamount_job_processors')), 'of other trees nothing is known');
    });

    it('answers without Postgres, and leaves out what it would read from it', async () => {
      // The connection to Redis, which was paused, may still be reconnecting.
      const before = await until('nothing is missing', async () => {
        const scrape = ScrapedText.of(await ops.get(PATH));
        return scrape.sum('catamount_scrape_errors') === 0 ? scrape : undefined;
      });
      assert.equal(before.sum('catamount_job_set_jobs', { set: 'dead' }), 0);
      await ops.database.drop();
      const after = ScrapedText.of(await ops.get(PATH));
      assert.deepEqual([after.sum('catamount_postgres_up'), after.sum('catamount_redis_up')], [0, 1]);
      assert.equal(after.sum('catamount_scrape_errors'), 5, 'the queues, the three sets, and what jobs have done');
      assert.ok(Number.isNaN(after.sum('catamount_queue_jobs')));
      assert.ok(Number.isNaN(after.sum('catamount_job_set_jobs', { set: 'dead' })));
      after.assertNothingWentBack(before);
    });
  });
});
