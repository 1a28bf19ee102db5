import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { store } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { OpsWeb, SIGNED } from '../ops-web';
import { viewOf } from '../page-view';
import { OPERATOR, Visitor } from '../visitor';
import shop from './shop/app';
import { ShopPages } from './shop-pages';

describe('pages of jobs while Redis is away', () => {
  let pages: ShopPages;
  before(async () => {
    pages = await ShopPages.start();
  });
  after(() => pages?.stop());

  it('work, but for what processors report: that names Redis, and recovers', async () => {
    const { operator } = pages;
    const waiting = await pages.store('ready');
    const retry = await pages.store('scheduled', { errors: ['no'] });
    const token = await operator.token();
    await pages.ops.redis.kill();
    for (const path of ['busy', 'queues'])
      await until(`${path} says so`, async () =>
        (await operator.view(`/ops/jobs/${path}`)).text.includes(
          'Redis does not answer, so the job processors are unknown here',
        ),
      );
    const queues = await operator.view('/ops/jobs/queues');
    assert.deepEqual(queues.rows[0]?.slice(0, 2), ['1. default', '1']);
    for (const [path, heading] of [
      ['queues/default', 'default'],
      [`job/default/${waiting}`, 'SyncInvoiceJob waiting'],
      ['retry', 'Retries'],
      ['scheduled', 'Scheduled jobs'],
      ['dead', 'Dead jobs'],
      ['cron', 'Cron'],
      ['batches', 'Batches'],
      ['classes', 'Job classes'],
    ] as const)
      assert.equal((await operator.view(`/ops/jobs/${path}`)).headings[0], heading);
    const act = async (path: string, fields: Readonly<Record<string, string>> = {}) =>
      (await operator.send(`/ops/jobs/${path}`, { token, ...fields })).status;
    assert.equal(await act('retry/action', { action: 'retry', id: `default/${retry}` }), 303);
    assert.equal(await pages.waiting(), 2);
    assert.equal(await act('queues/default/pause'), 303);
    assert.match((await operator.view('/ops/jobs/queues/default')).notes.join(), /No job of this queue starts\./);
    assert.equal(await act('queues/default/clear', { expected: '2' }), 303);
    assert.equal(await pages.waiting(), 0);
    await pages.ops.redis.start();
    await until(
      'the pages have Redis again',
      async () => !(await operator.view('/ops/jobs/busy')).text.includes('Redis does not answer'),
    );
  });
});

describe('pages of a tree with REDIS=off', () => {
  let ops: OpsWeb;
  let database: Database;
  let operator: Visitor;
  before(async () => {
    ops = await OpsWeb.start({ ...SIGNED, REDIS: 'off', REDIS_URL: '', JOB_LATENCY_WARNING: '0' }, shop);
    database = new Database(ops.database.url, { production: false, events: new Events(), poolMax: 2 });
    operator = await Visitor.signIn(ops, OPERATOR);
  });
  after(async () => {
    await database?.stop(Deadline.after(5000));
    await ops?.stop();
  });
  beforeEach(() => database.knex.raw('truncate job_queue'));

  it('let a form be sent again when its work has failed', async () => {
    const id = await store(database.knex, 'scheduled', { class: 'SyncInvoiceJob', errors: ['no'] });
    const token = await operator.token();
    const retry = () => operator.send('/ops/jobs/retry/action', { token, action: 'retry', id: `default/${id}` });
    await database.knex.raw('alter table job_queue rename to elsewhere');
    const { status, body } = await retry();
    assert.equal(status, 503);
    assert.match(viewOf(body).text, /It may have been done in part/);
    assert.doesNotMatch(body, /job_queue/);
    await database.knex.raw('alter table elsewhere rename to job_queue');
    assert.equal((await retry()).status, 303);
    assert.equal((await operator.json<{ total: number }>('/ops/jobs/queues/default')).total, 1);
  });

  it('list the running jobs with their redacted progress, as Postgres knows them', async () => {
    const progress = { done: 3, token: 'tok_secret' };
    const id = await store(database.knex, 'ready', { class: 'SyncInvoiceJob', progress });
    const claim = `update job_queue set state = 'running', claimed_by = 'tree-0', claimed_at = now() where id = ?`;
    await database.knex.raw(claim, [id]);
    const body = await until('the header counts it', async () => {
      const page = await operator.get('/ops/jobs/busy');
      return /data-count="busy">1</.test(page.body) && page.body;
    });
    const [row = []] = viewOf(body).rows;
    assert.deepEqual([row[0], row[3]], ['SyncInvoiceJob', 'done: 3, token: …']);
    assert.match(viewOf(body).text, /the job processors of other trees are not known here/);
    const { jobs, processes } = await operator.json<{ jobs: { id: string; process: null }[]; processes: [] }>(
      '/ops/jobs/busy',
    );
    assert.deepEqual([jobs.map((job) => [job.id, job.process]), processes], [[[id, null]], []]);
    assert.match(await operator.read('/ops/jobs/classes/SyncInvoiceJob'), /Running now 1 job .* Last hour 0 0 0 0/);
  });

  it('say in a sentence what is not there, and never that a queue is late', async () => {
    await store(database.knex, 'ready', { class: 'SyncInvoiceJob' });
    for (const path of ['/ops', '/ops/jobs/queues']) {
      const text = await operator.read(path);
      assert.match(text, /This tree runs without Redis/, path);
      assert.doesNotMatch(text, /does not answer|unknown without Redis|late/, path);
    }
    const charts = await operator.get('/ops/charts.json');
    assert.deepEqual([charts.status, charts.json().reason], [404, 'redisOff']);
    assert.equal((await operator.get('/ops?tree=other')).status, 404);
    assert.deepEqual(
      ops.errors.filter(({ error }) => /redis/i.test(error.message)),
      [],
    );
  });
});
