import assert from 'node:assert/strict';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { useDeployment } from '../process/deployment';
import { until } from '../support/until';

const TOKEN = 'sesame-opens-0123456789';
const SELDOM = { everyMs: 50 };
/** Time for several checks, ms. */
const LOOKS_MS = 8000;

describe('a row that plain SQL has inserted', () => {
  let listener: Client;
  // Before the database is dropped, which the deployment does.
  after(() => listener.end());
  const deployment = useDeployment();
  let heard = 0;
  before(async () => {
    listener = new Client({ connectionString: deployment.database.url });
    listener.on('notification', () => heard++);
    await listener.connect();
    await listener.query(`LISTEN ${TABLES.channel}`);
  });
  it('is reported to the job processors by a health check or a scrape, and without such a row no notification is sent', async () => {
    const env = { WEB_CONCURRENCY: '1', METRICS_TOKEN: TOKEN };
    const tree = await deployment.start({ args: ['--only', 'web'], env });
    await until('the worker has sent the notification of its start', () => heard === 1);
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const ask = async (path: string) => {
      const { status, body } = await tree.request('GET', path, { headers });
      assert.equal(status, 200, body);
    };
    const paths = ['/ready', '/ops/metrics'];
    for (const path of paths) await ask(path);
    await deployment.database.query(
      `insert into job_queue (id, queue, class, payload, run_at)
       values (gen_random_uuid(), 'default', 'NoteJob', '{}', clock_timestamp() - interval '1 minute')`,
    );
    assert.equal(heard, 1);
    for (const path of paths) {
      const before = heard;
      await until(
        `the job processors are notified by ${path}`,
        async () => {
          await ask(path);
          return heard > before;
        },
        SELDOM,
      );
    }
  });

  it('does not cost the web its connections while the table in which it is looked for is locked', async () => {
    const tree = await deployment.start({ args: ['--only', 'web'], env: { WEB_CONCURRENCY: '1', DATABASE_POOL: '1' } });
    const holder = new Client({ connectionString: deployment.database.url });
    await holder.connect();
    try {
      await holder.query('begin; lock table job_queue in access exclusive mode');
      const from = performance.now();
      const bodies = new Set<string>();
      await until(
        'the worker has checked several times, once in two seconds',
        async () => {
          bodies.add((await tree.request('GET', '/ready')).body);
          return performance.now() > from + LOOKS_MS;
        },
        SELDOM,
      );
      assert.match([...bodies].join('\n'), /^{"status":"ok"[^\n]*$/);
      const held = await deployment.database.query(
        `select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      assert.ok(held.length <= 1, JSON.stringify(held));
    } finally {
      await holder.end();
    }
  });
});
