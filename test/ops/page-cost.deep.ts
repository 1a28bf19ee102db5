import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import { Events } from '../../lib/core/events';
import { readFailingCron, readFailures, readMail } from '../../lib/health/probes';
import { knownQueues, readQueues } from '../../lib/job/row/queue-status';
import { Database } from '../../lib/model/database';
import { DeployLog } from '../../lib/ops/deploys/deploy-log';
import { JobCounts } from '../../lib/ops/jobs/header-counts';
import { Deliveries } from '../../lib/ops/mail/deliveries';
import { KeptLines } from '../../lib/ops/search/kept-lines';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase } from '../support/postgres';
import { rowsRead } from '../support/rows-read';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { OpsWeb } from './ops-web';

const FINISHED = 100_000;
const LINES = 20_000;
const SCHEDULED = 20_000;
const MAILS = 100_000;
const SOME = 100;

/** The queries of pages, and the rows and entries of indexes that Postgres may read for them. */
const QUERIES: Readonly<Record<string, readonly [most: number, query: (knex: Knex) => Promise<unknown>]>> = {
  // Each is counted up to 10,000.
  'the numbers of the header': [10_000 + SOME, (knex) => new JobCounts(knex).read()],
  // Both look at the jobs that are not ready.
  'the queues of the overview': [
    2 * SCHEDULED + SOME,
    async (knex) => readQueues(knex, await knownQueues(knex, ['default'])),
  ],
  'what fails': [SOME, (knex) => readFailures(knex)],
  'which cron fails': [SOME, (knex) => readFailingCron(knex)],
  // An index tells when mails were sent.
  'the mails of a day': [MAILS + 5 * SOME, (knex) => readMail(knex)],
  'mails to an address': [
    12_000,
    (knex) => new Deliveries(knex).list({ state: null, search: 'user7@example.com' }, 0, 50),
  ],
  'mails with words': [12_000, (knex) => new Deliveries(knex).list({ state: null, search: 'zebra' }, 0, 50)],
  'failed mails': [4 * SOME, (knex) => new Deliveries(knex).list({ state: 'failed', search: '' }, 0, 50)],
  'the story of a request': [SOME, (knex) => new KeptLines(knex).story('req-777')],
  'the story of a job': [SOME, (knex) => new KeptLines(knex).story('job-777')],
  'the story of nothing': [SOME, (knex) => new KeptLines(knex).story('zebra')],
  'words that no line has': [10_000, (knex) => new KeptLines(knex).matching('zebra', 50)],
  'failed requests': [3_000, (knex) => new KeptLines(knex).failedRequests(100)],
  // All errors of a day, with whether each has a line of its own.
  deploys: [70_000, (knex) => new DeployLog(knex).list()],
};

/** Statements of an open overview while all is well, and how often they are asked, s; null: with each update. */
const ASKED: readonly (readonly [number: number, everyS: number | null])[] = [
  // The numbers of the header; which queues there are, and their states.
  [3, null],
  // Whether its reader has signed out.
  [1, 3],
  // Whether the database is a copy; failures and deaths; how Postgres is (three).
  [6, 4.9],
  // Cron; mails.
  [2, 9],
];

describe('what the pages cost', () => {
  describe('in rows, with many finished jobs and a full log', () => {
    const postgres = inSuite('drop', () => createDatabase({ migrated: true }));
    const database = inSuite(
      (opened) => opened.stop(Deadline.after(10_000)),
      () => new Database(postgres.url, { production: false, events: new Events(), poolMax: 1 }),
    );

    before(async () => {
      await postgres.query(
        `insert into job_finished (id, queue, class, payload, attempts, tags, search, ending, keep_until, keep_limit, finished_at)
         select gen_random_uuid(), 'default', 'Job', '{"class":"Job","args":[]}', 0, '{}', 'words', '{}', now() + interval '1 day',
           ${FINISHED}, now() - n * interval '0.1 seconds' from generate_series(1, ${FINISHED}) as n`,
      );
      await postgres.query(
        `insert into job_queue (state, queue, class, payload, run_at)
         select 'scheduled', 'default', 'Job', '{"class":"Job","args":[]}', now() + interval '1 day' from generate_series(1, ${SCHEDULED})`,
      );
      await postgres.query(
        `insert into mail_deliveries (key, mailer, action, recipients, subject, message_id, state, claim, claimed_at,
           claimed_by_pid, sent_at, created_at)
         select 'job' || n || '/x/1', 'UserMailer', 'welcome', array['user' || n || '@example.com'], 'Subject', n,
           case when n % 1000 = 0 then 'failed' else 'sent' end, gen_random_uuid(), now(), 1,
           now() - n * interval '0.1 second', now() - n * interval '0.1 second'
         from generate_series(1, ${MAILS}) n`,
      );
      // Each request has two lines. Each tenth has failed, and one of its lines is of its error.
      await postgres.query(
        `insert into ops_log (at, request_id, job_id, level, status, line)
         select now() - (${LINES} - n) * interval '1 second', 'req-' || n / 2, case when n % 2 = 0 then 'job-' || n / 2 end,
           case when n / 2 % 10 = 0 then 'error' else 'info' end,
           case when n % 2 = 1 then case when n / 2 % 10 = 0 then 500 else 200 end end,
           json_build_object('msg', 'line ' || n, 'method', 'GET', 'path', '/', 'err', json_build_object('message', 'no'))
         from generate_series(1, ${LINES}) as n`,
      );
      await postgres.query(
        `insert into ops_deploys select 'v' || n, now() - n * interval '10 minutes' from generate_series(1, 20) as n`,
      );
      // An index answers alone for rows that a vacuum has found visible to all. An older snapshot hides them from it.
      await until('all rows are visible to all', async () => {
        await postgres.query('vacuum analyze');
        const hidden = await postgres.query(
          `select from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relallvisible < relpages`,
        );
        return hidden.length === 0;
      });
    });

    for (const [name, [most, query]] of Object.entries(QUERIES))
      it(name, async () => {
        const read = await rowsRead(database.knex, query);
        assert.ok(read <= most, `Postgres has read ${read} rows and entries of indexes`);
      });
  });

  describe('while one is open', () => {
    const ops = inSuite('stop', () => OpsWeb.start());
    /** Statements that Postgres has committed; each is a transaction. */
    const statements = async (): Promise<number> => {
      const [row] = await ops.database.query<{ count: number }>(
        'select xact_commit::int as count from pg_stat_database where datname = current_database()',
      );
      return row?.count ?? assert.fail('Postgres counts transactions');
    };

    it('an update of the overview takes few statements, and sends a small part of the page', async () => {
      const page = await ops.get('/ops');
      const stream = await ops.stream('/ops/events');
      const updates = () => stream.text().split('event: parts').length - 1;
      // A session of Postgres that is idle tells its last statements after ten seconds.
      await until('the first updates are sent', () => updates() >= 7);
      const [from, sent, length, at] = [await statements(), updates(), stream.text().length, performance.now()];
      await until('others follow', () => updates() >= sent + 10);
      const [made, bytes] = [(await statements()) - from, stream.text().length - length];
      const [count, seconds] = [updates() - sent, (performance.now() - at) / 1000];
      stream.close();
      const most = ASKED.reduce(
        (sum, [number, everyS]) => sum + number * (everyS ? seconds / everyS + 1 : count + 1),
        0,
      );
      assert.ok(made > count, `Postgres has counted ${made} statements of ${count} updates`);
      assert.ok(made <= most, `${made} statements for ${count} updates in ${seconds} s; at most ${most}`);
      assert.ok(bytes < (count * page.body.length) / 10, `${bytes} bytes for ${count} updates of ${page.body.length}`);
    });

    it('nothing is sent of a page that has not changed', async () => {
      const stream = await ops.stream('/ops/jobs/busy/events');
      const updates = () => [...stream.text().matchAll(/event: parts\ndata: (.*)\n/g)].map(([, data]) => data);
      await until('updates are sent', () => updates().length >= 4);
      stream.close();
      assert.deepEqual(new Set(updates().slice(1)), new Set(['{"changed":[]}']));
      assert.equal(stream.text().split('event: counts').length - 1, 1);
    });
  });
});
