import assert from 'node:assert/strict';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { Surroundings } from '../process/surroundings';
import { until } from '../support/until';

const TOKEN = 'sesame-opens-0123456789';
const SELDOM = { everyMs: 50 };

describe('a row that plain SQL has inserted', () => {
  let around: Surroundings;
  let listener: Client;
  let heard = 0;
  before(async () => {
    around = await Surroundings.make();
    listener = new Client({ connectionString: around.database.url });
    listener.on('notification', () => heard++);
    await listener.connect();
    await listener.query(`LISTEN ${TABLES.channel}`);
  });
  after(async () => {
    await listener.end();
    await around.remove();
  });

  it('is told to the relays by whoever asks how all is, and nobody is told while there is none', async () => {
    const env = { WEB_CONCURRENCY: '1', METRICS_TOKEN: TOKEN };
    const tree = await around.start({ args: ['--only', 'web'], env });
    await until('the worker has told of its start', () => heard === 1);
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const ask = async (path: string) => {
      const { status, body } = await tree.request('GET', path, { headers });
      assert.equal(status, 200, body);
    };
    const paths = ['/ready', '/ops/metrics'];
    for (const path of paths) await ask(path);
    await around.database.query(
      `insert into job_outbox (id, queue, class, payload, run_at)
       values (gen_random_uuid(), 'default', 'NoteJob', '{}', clock_timestamp() - interval '1 minute')`,
    );
    assert.equal(heard, 1);
    for (const path of paths) {
      const before = heard;
      await until(
        `the relays are notified by ${path}`,
        async () => {
          await ask(path);
          return heard > before;
        },
        SELDOM,
      );
    }
  });
});
