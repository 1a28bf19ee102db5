import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/async';
import { store } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { OpsWeb, SIGNED, tokenIn } from '../ops-web';
import shop from './shop/app';
import { OPERATOR, textOf, Visitor } from './visitor';

describe('the pages of a tree without Redis', () => {
  let ops: OpsWeb;
  let database: Database;
  let operator: Visitor;
  before(async () => {
    ops = await OpsWeb.start({ ...SIGNED, REDIS: 'off', REDIS_URL: '' }, shop);
    database = new Database(ops.database.url, { production: false, events: new Events(), poolMax: 2 });
    operator = await Visitor.signIn(ops, OPERATOR);
  });
  after(async () => {
    await database?.stop(Deadline.after(5000));
    await ops?.stop();
  });
  beforeEach(() => database.knex.raw('truncate job_queue, ops_flashes'));

  it('carry out a double click once, and tell both of its outcome', async () => {
    await store(database.knex, 'ready', { class: 'SyncInvoiceJob' });
    const token = tokenIn((await operator.get('/ops/jobs/queues')).body);
    const click = () => operator.send('/ops/jobs/queues/default/clear', { token, expected: '1' });
    const [one, two] = await Promise.all([click(), click()]);
    assert.deepEqual([one.status, two.status], [303, 303], textOf(one.body));
    assert.equal(one.headers.location, two.headers.location);
    assert.equal(ops.operated.filter(([name]) => name === 'operator.queue').length, 1);
    assert.match(await operator.read(one.headers.location ?? ''), /1 job/);
    // Long after the first click the same form is another order.
    await database.knex.raw(`update ops_flashes set expires_at = now() - interval '1 second'`);
    await store(database.knex, 'ready', { class: 'SyncInvoiceJob' });
    assert.notEqual((await click()).headers.location, one.headers.location);
    const [{ count } = { count: -1 }] = await ops.database.query<{ count: number }>(
      'select count(*)::int from ops_flashes',
    );
    assert.equal(count, 2, 'what has expired is gone');
  });

  it('let a form be sent again when its work has failed', async () => {
    const id = await store(database.knex, 'scheduled', { class: 'SyncInvoiceJob', errors: ['no'] });
    const token = tokenIn((await operator.get('/ops/jobs/retry')).body);
    const retry = () => operator.send('/ops/jobs/retry/action', { token, action: 'retry', id: `default/${id}` });
    await database.knex.raw('alter table job_queue rename to elsewhere');
    assert.equal((await retry()).status, 503);
    await database.knex.raw('alter table elsewhere rename to job_queue');
    assert.equal((await retry()).status, 303);
    await until(
      'the job waits',
      async () => (await operator.json<{ total: number }>('/ops/jobs/queues/default')).total === 1,
    );
  });

  it('list the running jobs, as Postgres knows them', async () => {
    const id = await store(database.knex, 'ready', { class: 'SyncInvoiceJob' });
    await database.knex.raw(
      `update job_queue set state = 'running', claimed_by = 'tree-0', claimed_at = now() where id = ?`,
      [id],
    );
    const body = await until('the header counts it', async () => {
      const page = await operator.get('/ops/jobs/busy');
      return /data-count="busy">1</.test(page.body) && page.body;
    });
    assert.match(
      textOf(body),
      /^Busy This tree runs without Redis, so the job processors of other trees are not known here\. .* SyncInvoiceJob/,
    );
    const { jobs, processes } = await operator.json<{ jobs: { id: string; process: null }[]; processes: [] }>(
      '/ops/jobs/busy',
    );
    assert.deepEqual([jobs.map((job) => [job.id, job.process]), processes], [[[id, null]], []]);
    assert.match(await operator.read('/ops/jobs/classes/SyncInvoiceJob'), /Running now 1 job .* Last hour 0 0 0 0/);
  });

  it('say in a sentence what is not there', async () => {
    const home = await operator.read('/ops');
    assert.match(home, /Redis off This tree runs without Redis\./);
    assert.match(home, /No charts This tree runs without Redis, which would keep the history\./);
    assert.doesNotMatch(home, /does not answer|unknown without Redis/);
    assert.match(
      await operator.read('/ops/jobs/queues'),
      /^Queues This tree runs without Redis, so the job processors/,
    );
    const charts = await operator.get('/ops/charts.json');
    assert.deepEqual([charts.status, charts.json().reason], [404, 'redisOff']);
    assert.equal((await operator.get('/ops?tree=other')).status, 404);
    assert.deepEqual(
      ops.errors.filter(({ error }) => /redis/i.test(error.message)),
      [],
    );
  });
});
