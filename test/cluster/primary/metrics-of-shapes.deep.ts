import assert from 'node:assert/strict';
import { ScrapedText } from '../../ops/metrics/scrape';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount } from './operator';
import { Stage } from './stage';

const TOKEN = 'sesame-opens-0123456789';

describe('the metrics of trees without workers or without a job processor', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  const scrape = async (tree: Tree) =>
    ScrapedText.of(await tree.request('GET', '/ops/metrics', { headers: { Authorization: `Bearer ${TOKEN}` } }));
  /** Scrapes until the condition holds. A scrape that lacks a busy store does not count. @returns that scrape. */
  const told = (tree: Tree, what: string, test: (scraped: ScrapedText) => boolean) =>
    until(
      what,
      async () => {
        const scraped = await scrape(tree);
        return scraped.sum('catamount_scrape_errors') === 0 && test(scraped) && scraped;
      },
      { everyMs: 50 },
    );

  it('come from the primary if it serves the web itself', async () => {
    const tree = await stage.start({ METRICS_TOKEN: TOKEN, WEB_CONCURRENCY: '0' });
    await tree.request('GET', '/slow?ms=5');
    const scraped = await told(tree, 'the request is counted', (now) => now.sum('catamount_http_requests_total') === 1);
    assert.deepEqual(
      ['catamount_workers', 'catamount_workers_ready'].map((name) => scraped.sum(name)),
      [0, 0],
    );
    for (const name of [
      'catamount_http_concurrency_limit',
      'catamount_postgres_pool_limit',
      'catamount_process_cpu_seconds_total',
    ]) {
      assert.ok(scraped.sum(name, { process: 'primary' }) > 0, name);
    }
    const { stdout } = await catamount(tree.cwd, 'stats');
    assert.match(stdout, /^Web: {5}in the primary, 0\/5 busy, 0 waiting, 1 requests, lag p99 \d+ ms$/m);
    await tree.request('POST', '/dying-job');
    await told(tree, 'the job is counted', (now) => now.sum('catamount_jobs_total', { outcome: 'dead' }) === 1);
    assert.equal((await tree.stop()).code, 0);
  });

  it('include the jobs of other trees if the tree runs none', async () => {
    const web = await stage.start({ METRICS_TOKEN: TOKEN, WEB_CONCURRENCY: '1' }, { args: ['--only', 'web'] });
    const scraped = await told(web, 'a scrape includes all stores', () => true);
    assert.equal(scraped.sum('catamount_jobs_total', { class: 'DyingJob', outcome: 'dead' }), 1);
    assert.equal(scraped.sum('catamount_job_concurrency_limit'), 0);
    assert.equal(scraped.sum('catamount_job_processors'), 0);
    assert.ok(!scraped.metrics.has('catamount_job_processor_up'));
    const jobs = stage.spawn({}, { args: ['--only', 'jobs'] });
    await told(web, 'the other tree is counted', (now) => now.sum('catamount_job_processors') === 1);
    await web.request('POST', '/dying-job');
    await told(web, 'its job is counted', (now) => now.sum('catamount_jobs_total', { outcome: 'dead' }) === 2);
    assert.equal((await jobs.stop()).code, 0);
  });
});
