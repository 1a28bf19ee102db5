import assert from 'node:assert/strict';
import { LogKeeper } from '../../../lib/ops/search/log-keeper';
import { Deadline } from '../../../lib/support/deadline';
import { inSuite } from '../../support/suite';
import { useShopPages } from '../jobs/shop-pages';

interface FoundJson {
  readonly story: boolean;
  readonly lines: readonly { readonly message: string; readonly request_id: string | null }[];
  readonly jobs: readonly { readonly id: string }[];
  readonly mails: readonly { readonly key: string }[];
}

describe('the search', () => {
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  beforeEach(async () => {
    await shop.reset();
    await shop.ops.database.query('truncate ops_log, mail_deliveries');
  });
  const found = (q: string) => operator.json<FoundJson>(`/ops/search?q=${encodeURIComponent(q)}`);

  /** Keeps lines as a process does whose log has them. */
  async function log(...lines: readonly object[]): Promise<void> {
    const keeper = new LogKeeper(shop.database.knex);
    for (const line of lines)
      keeper.take(`${JSON.stringify({ level: 'info', time: new Date().toISOString(), process: 'web.0', ...line })}\n`);
    await keeper.stop(Deadline.after(5000));
  }
  const kept = async () =>
    (await shop.ops.database.query<{ line: string }>('select line from ops_log order by id')).map(
      ({ line }) => JSON.parse(line).msg as string,
    );

  it('leads to a job by its id, and has the jobs of a request with their state and error', async () => {
    const id = await shop.storeDead({ requestId: 'req-42', errors: ['no such invoice'] });
    const straight = await operator.get(`/ops/search?q=${id}`);
    assert.deepEqual([straight.status, straight.headers.location], [302, `/ops/jobs/job/default/${id}`]);
    const page = await operator.view('/ops/search?q=req-42');
    assert.match(page.text, /dead Error no such invoice/);
    assert.equal(page.links.get('Dead jobs: 1 job'), '/ops/jobs/dead?q=req-42');
    assert.match(await operator.read('/ops/search?q=nothing'), /No job contains it\./);
    assert.equal((await operator.get('/ops/search')).status, 200);
    assert.equal((await operator.get('/ops/search?q=a&q=b')).status, 400);
  });

  it('tells the story of a request in order: its statements, its job, and the answer of the mail server', async () => {
    const job = '0d3f6c1e-7a53-4c39-9d0e-0c9c8d4b1a11';
    await shop.ops.database.query(
      `insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
         claimed_by_pid, response) values ($1, 'UserMailer', 'welcome', array['ada@example.com'], 'Welcome', '<1@x>', 'sent',
         gen_random_uuid(), now(), 1, '250 2.0.0 Ok')`,
      [`${job}/1`],
    );
    await log(
      { msg: 'POST /users 201 in 9 ms', requestId: 'req-1', status: 201, sqlMs: 4, sqlCount: 2 },
      { msg: 'SendWelcomeJob done in 30 ms', requestId: 'req-1', jobId: job, process: 'jobs' },
      { msg: 'GET / 200 in 1 ms', requestId: 'req-2', status: 200 },
    );
    const page = await operator.view('/ops/search?q=req-1');
    assert.match(page.text, /POST \/users 201 in 9 ms web\.0 · 2 statements, 4 ms .*SendWelcomeJob done in 30 ms jobs/);
    assert.match(page.text, /ada@example\.com Welcome 250 2\.0\.0 Ok/);
    assert.doesNotMatch(page.text, /GET \/ 200/);
    // A job that left no record still has its story, with that of its request.
    const { story, lines } = await found(job);
    assert.deepEqual([story, lines.map(({ request_id }) => request_id)], [true, ['req-1', 'req-1']]);
  });

  it('finds lines by their words, the newest first', async () => {
    await log({ msg: 'first Ünïcode "x"', requestId: 'req-1' }, { msg: 'second ünïcode "x"', requestId: 'req-2' });
    const { story, lines } = await found('ÜNÏCODE "X"');
    assert.deepEqual([story, lines.map(({ request_id }) => request_id)], [false, ['req-2', 'req-1']]);
  });

  it('has failed requests, by what they asked for and how they failed', async () => {
    assert.match(await operator.read('/ops/requests'), /No request has failed/);
    const failed = (id: string) => [
      {
        level: 'error',
        msg: 'POST /pay failed: no',
        requestId: id,
        err: { message: 'the bank is closed', stack: 'x' },
      },
      { level: 'error', msg: 'POST /pay 500 in 3 ms', requestId: id, method: 'POST', path: '/pay', status: 500 },
    ];
    await log(...failed('req-1'), ...failed('req-2'), {
      msg: 'GET / 422',
      requestId: 'req-3',
      method: 'GET',
      path: '/',
      status: 422,
    });
    const { rows, links } = await operator.view('/ops/requests');
    assert.deepEqual(
      rows.map((row) => row.slice(0, 3)),
      [['POST /pay', '500 the bank is closed', '2']],
    );
    assert.equal(links.get('POST /pay'), '/ops/search?q=req-2');
    assert.match(await operator.read('/ops/search?q=req-2'), /POST \/pay failed: no web\.0 .*POST \/pay 500 in 3 ms/);
  });

  describe('the lines that are kept', () => {
    it('are those of requests and jobs, without health checks and these pages', async () => {
      await log(
        { msg: 'of nobody' },
        { msg: 'GET /health', requestId: 'a', internal: true },
        { level: 'error', msg: 'GET /ops failed', requestId: 'a', internal: true },
        { msg: 'of a job', jobId: '0d3f6c1e-7a53-4c39-9d0e-0c9c8d4b1a11' },
      );
      assert.deepEqual(await kept(), ['GET /ops failed', 'of a job']);
    });

    it('are whole stories of some and all errors, when a process is busy', async () => {
      const keeper = new LogKeeper(shop.database.knex);
      const second = async () => {
        for (let n = 0; n < 2000; n++)
          for (const [level, msg] of [
            ['info', 'begun'],
            [n % 100 === 0 ? 'error' : 'info', 'ended'],
          ])
            keeper.take(`${JSON.stringify({ level, time: new Date().toISOString(), requestId: `req-${n}`, msg })}\n`);
        await keeper.stop(Deadline.after(5000));
        const rows = await shop.ops.database.query<{ request_id: string; level: string }>(
          'select request_id, level from ops_log order by id',
        );
        await shop.ops.database.query('truncate ops_log');
        return rows;
      };
      await second();
      const rows = await second();
      assert.equal(rows.filter(({ level }) => level === 'error').length, 20);
      const infos = rows.filter(({ level }) => level === 'info').map(({ request_id }) => request_id);
      assert.ok(infos.length > 10 && infos.length < 120, `${infos.length} lines`);
      const alone = infos.filter(
        (id) => infos.indexOf(id) === infos.lastIndexOf(id) && Number(id.slice(4)) % 100 !== 0,
      );
      assert.deepEqual(alone, []);
    });

    it('are of a day at most, and 20,000', async () => {
      await shop.ops.database.query(
        `insert into ops_log (at, level, line) select now() - interval '25 hours', 'info', '{"msg":"old"}' from generate_series(1, 3)`,
      );
      await shop.ops.database.query(
        `insert into ops_log (at, level, line) select now(), 'info', '{"msg":"many"}' from generate_series(1, 20010)`,
      );
      await log({ msg: 'new', jobId: 'x' });
      const lines = await kept();
      assert.deepEqual([lines.length, lines.at(-1), lines.includes('old')], [20_000, 'new', false]);
    });

    it('are dropped while Postgres does not take them, and cut when they are long', async () => {
      await shop.ops.database.query('alter table ops_log rename to ops_log_away');
      try {
        await log({ msg: 'lost', jobId: 'x' });
      } finally {
        await shop.ops.database.query('alter table ops_log_away rename to ops_log');
      }
      const err = { message: 'm'.repeat(100), stack: 's'.repeat(20_000) };
      await log({ level: 'error', msg: 'long', jobId: 'x', attributes: { text: 'a\0'.repeat(9000) }, err });
      assert.deepEqual(await kept(), ['long']);
    });
  });
});
