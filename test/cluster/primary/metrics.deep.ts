import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { FAMILIES } from '../../../lib/ops/metrics/scrape';
import { assertConventions } from '../../ops/metrics/conventions';
import { allQueries, parseQuery, unknownTo } from '../../ops/metrics/queries';
import { ScrapedText } from '../../ops/metrics/scrape';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

const METRICS_TOKEN = 'sesame-opens-0123456789';

async function scrape(tree: Tree): Promise<ScrapedText> {
  const headers = { Authorization: `Bearer ${METRICS_TOKEN}` };
  // One may reach a worker that does not answer.
  return ScrapedText.of(await tree.request('GET', '/ops/metrics', { headers, timeoutMs: 5000 }));
}

/** Scrapes until the condition holds. A scrape that lacks a busy store does not count. @returns that scrape. */
function scraped(what: string, one: () => Promise<ScrapedText>, test: (scrape: ScrapedText) => boolean) {
  const told = async () => {
    const now = await one();
    return now.sum('catamount_scrape_errors') === 0 && test(now) && now;
  };
  return until(what, told, { everyMs: 50 });
}

describe('the metrics of a whole tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  let last: ScrapedText;
  const statsd = dgram.createSocket('udp4');
  const packets: string[] = [];
  /** Requests to the app that were answered. */
  let answered = 0;

  before(async () => {
    statsd.on('message', (packet) => packets.push(packet.toString()));
    await once(statsd.bind(0, '127.0.0.1'), 'listening');
    const STATSD_URL = `udp://127.0.0.1:${statsd.address().port}`;
    tree = await app.start({ METRICS_TOKEN, STATSD_URL, MEMORY_LIMIT_MB: '2048', MAX_THREADS: '2', WEB_BACKLOG: '1' });
    last = await next();
  });

  after(() => statsd.close());

  it('reach a StatsD server', async () => {
    await until('a packet says that both workers are ready', () =>
      packets.some((packet) => /^catamount_workers_ready:2\|g\|#app:supervised,tree:\S+$/m.test(packet)),
    );
  });

  /** Scrapes whichever worker answers, and asserts that no counter has decreased since the last scrape. */
  async function next(): Promise<ScrapedText> {
    const now = await scrape(tree);
    if (last) now.assertNothingWentBack(last);
    last = now;
    return now;
  }

  async function get(path: string, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await tree.request('GET', path);
      answered++;
    }
  }

  const told = (what: string, test: (scrape: ScrapedText) => boolean) => scraped(what, next, test);

  const requests = (scraped: ScrapedText) => scraped.sum('catamount_http_requests_total');
  const allAreTold = () => told(`all ${answered} requests are counted`, (scraped) => requests(scraped) === answered);
  const bothReady = () => told('both workers are ready', (scraped) => scraped.sum('catamount_workers_ready') === 2);

  it('sum up the requests of all workers without health checks and scrapes', async () => {
    await get('/slow?ms=5', 30);
    await get('/nowhere', 10);
    await tree.request('GET', '/health');
    await allAreTold();
    assert.equal(last.sum('catamount_http_requests_total', { method: 'GET', status: '2xx' }), 30);
    assert.equal(last.sum('catamount_http_requests_total', { method: 'GET', status: '4xx' }), 10);
    assert.equal(last.sum('catamount_http_request_duration_seconds_count'), 40);
    assert.ok(last.sum('catamount_http_request_duration_seconds_sum') >= 0.15);
    assert.ok(last.sum('catamount_http_request_duration_seconds_bucket', { le: '0.0025' }) <= 10);
  });

  it('never decrease when a worker is killed, and keep counting with its successor', async () => {
    const [{ pid = 0 } = assert.fail()] = (await statsOf(tree)).worker_status;
    process.kill(pid, 'SIGKILL');
    await told(
      'the restart is counted',
      (scraped) => scraped.sum('catamount_worker_restarts_total', { reason: 'crash' }) === 1,
    );
    await bothReady();
    assert.equal(requests(last), answered);
    await get('/slow?ms=1', 20);
    await allAreTold();
  });

  it('do not count a worker as ready that does not answer', async () => {
    const [{ pid = 0 } = assert.fail()] = (await statsOf(tree)).worker_status;
    process.kill(pid, 'SIGSTOP');
    try {
      await told('one worker is ready', (scraped) => scraped.sum('catamount_workers_ready') === 1);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await bothReady();
  });

  it('count every request while workers are replaced one by one', async () => {
    const restarted = order(tree, 'phased-restart');
    let over = false;
    void restarted.finally(() => {
      over = true;
    });
    while (!over) {
      await get('/slow?ms=1', 5);
      await next();
    }
    await restarted;
    await allAreTold();
    assert.equal(last.sum('catamount_worker_restarts_total', { reason: 'phase' }), 2);
    assert.equal(last.sum('catamount_phase'), 1);
  });

  it('show requests in flight, waiting and shed', async () => {
    const release = app.switchOn('hold');
    // Two at a time: single requests, with a scrape in between, would all go to the same worker.
    const many: Promise<number>[] = [];
    let shed = 0;
    const ask = async () => {
      const { status } = await tree.request('GET', '/held');
      if (status === 503) shed++;
      return status;
    };
    await told('all threads and the backlog are full', (scraped) => {
      const [running, waiting] = ['in_flight', 'queued'].map((what) => scraped.sum(`catamount_http_requests_${what}`));
      const full = running === 4 && waiting === 2;
      if (!full) many.push(ask(), ask());
      return full;
    });
    await until('the others are shed', () => shed === many.length - 6);
    assert.equal(last.sum('catamount_http_concurrency_limit'), 4);
    release();
    const statuses = await Promise.all(many);
    answered += many.length;
    await allAreTold();
    assert.equal(statuses.filter((status) => status === 200).length, 6);
    const refused = many.length - 6;
    assert.equal(last.sum('catamount_http_requests_shed_total', { reason: 'full' }), refused);
    assert.equal(last.sum('catamount_http_requests_total', { status: '5xx' }), refused);
    assert.ok(last.sum('catamount_http_request_queue_seconds_sum') > 0);
  });

  it('count the outcomes of jobs and mails, and keep the counts when the processor dies', async () => {
    await tree.request('POST', '/dying-job');
    await tree.request('POST', '/notices?to=ann@example.com');
    answered += 2;
    const jobs = (scraped: ScrapedText, name: string, outcome: string) =>
      scraped.sum('catamount_jobs_total', { class: name, outcome });
    await told('the dead job is counted', (scraped) => jobs(scraped, 'DyingJob', 'dead') === 1);
    await told('the mail is counted', (scraped) => jobs(scraped, 'catamount.deliver-mail', 'succeeded') === 1);
    assert.equal(last.sum('catamount_mails_total', { mailer: 'NoticeMailer', outcome: 'sent' }), 1);
    assert.equal(last.sum('catamount_job_set_jobs', { set: 'dead' }), 1);
    assert.equal(last.sum('catamount_job_duration_seconds_count', { class: 'catamount.deliver-mail' }), 1);
    assert.equal(last.sum('catamount_job_queue_latency_seconds_count', { class: 'DyingJob' }), 1);
    process.kill((await statsOf(tree)).job_processor.pid ?? 0, 'SIGKILL');
    await told('the processor was restarted', (scraped) => scraped.sum('catamount_job_processor_restarts_total') === 2);
    await told('the processor is up', (scraped) => scraped.sum('catamount_job_processor_up') === 1);
    assert.equal(jobs(last, 'DyingJob', 'dead'), 1);
    await allAreTold();
  });

  it('include every family, and follow the conventions of Prometheus', async () => {
    // A new process sends its first metrics some time after its start.
    const processes = ['primary', 'web.0', 'web.1', 'jobs'];
    const measured = (now: ScrapedText, process: string) =>
      now.sum('catamount_process_resident_memory_bytes', { process }) > 0 &&
      now.sum('catamount_process_cpu_seconds_total', { process }) > 0;
    await told(
      'a scrape includes all stores and processes',
      (now) =>
        ['catamount_jobs_running', 'catamount_job_last_moved_timestamp_seconds'].every((name) =>
          now.metrics.has(name),
        ) && processes.every((process) => measured(now, process)),
    );
    const scraped = last;
    assert.deepEqual(
      [...scraped.metrics.keys()],
      FAMILIES.map(({ name }) => name),
    );
    assertConventions(scraped.metrics);
    for (const { name, shared } of FAMILIES) {
      const trees = new Set(scraped.metrics.get(name)?.lines.map(({ labels }) => labels.tree));
      assert.deepEqual(
        [...trees].map((tree) => tree !== undefined),
        [shared !== true],
        name,
      );
    }
    for (const [where, query] of allQueries()) assert.deepEqual(unknownTo(scraped, parseQuery(query)), [], where);
    for (const process of processes) {
      assert.ok(scraped.sum('catamount_process_resident_memory_bytes', { process }) > 1e7, process);
      assert.ok(scraped.sum('catamount_process_event_loop_lag_p99_seconds', { process }) >= 0, process);
    }
    assert.equal(scraped.sum('catamount_memory_limit_bytes'), 2 * 1024 ** 3);
    // Two workers with two threads each, and a processor with two jobs, which needs one more connection for itself.
    assert.equal(scraped.sum('catamount_postgres_pool_limit'), 7);
    assert.equal(scraped.sum('catamount_job_processors'), 1);
    assert.equal(scraped.sum('catamount_queue_paused', { queue: 'default' }), 0);
  });
});

describe('the metrics of trees without a job processor', () => {
  const app = useSupervisorApp();
  const told = (tree: Tree, what: string, test: (scrape: ScrapedText) => boolean) =>
    scraped(what, () => scrape(tree), test);

  it('include the jobs of other trees if the tree runs none', async () => {
    const web = await app.start({ METRICS_TOKEN, WEB_CONCURRENCY: '1' }, { args: ['--only', 'web'] });
    const scraped = await told(web, 'a scrape includes all stores', () => true);
    assert.equal(scraped.sum('catamount_job_concurrency_limit'), 0);
    assert.equal(scraped.sum('catamount_job_processors'), 0);
    assert.ok(!scraped.metrics.has('catamount_job_processor_up'));
    const jobs = app.spawn({}, { args: ['--only', 'jobs'] });
    await told(web, 'the other tree is counted', (now) => now.sum('catamount_job_processors') === 1);
    await web.request('POST', '/dying-job');
    await told(
      web,
      'its job is counted',
      (now) => now.sum('catamount_jobs_total', { class: 'DyingJob', outcome: 'dead' }) === 1,
    );
    assert.equal((await jobs.stop()).code, 0);
  });
});
