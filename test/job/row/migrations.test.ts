import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { useDatabase, usePostgres } from '../../support/stores';

const FOLDER = path.resolve(__dirname, '../../../lib/job/migrations');
/** Those that were added to the tables of the first one. */
const LATER = fs
  .readdirSync(FOLDER)
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .slice(1);

interface Migration {
  up(knex: Knex): Promise<void>;
  down(knex: Knex): Promise<void>;
}

describe('the migrations of jobs', () => {
  const created = usePostgres({ migrated: true });
  const database = useDatabase(created);
  const load = (file: string) => import(path.join(FOLDER, file)) as Promise<Migration>;
  const states = async () => {
    const rows = await created.query<{ queue: string; state: string }>('select queue, state from job_queue');
    return Object.fromEntries(rows.map(({ queue, state }) => [queue, state]));
  };
  const dead = () => created.query<{ queue: string }>('select queue from job_dead');

  it('keep every job that waits, runs or is dead when they are rolled back and applied again', async () => {
    const jobs = (columns: string, values: string) =>
      created.query(
        `insert into job_queue (class, payload, ${columns}) values ('WaveJob', '{"class":"WaveJob"}', ${values})`,
      );
    await created.query(`insert into job_batches (id, description, callbacks) values (gen_random_uuid(), 'all', '[]')`);
    await jobs('queue, state', `'ready', 'ready'`);
    await jobs('queue, state, batch_id', `'batch', 'ready', (select id from job_batches)`);
    await jobs('queue, state, steps', `'steps', 'scheduled', '{"charge":{"at":1}}'`);
    await jobs('queue, state, cancel_reason, claimed_by, claimed_at', `'cancelled', 'running', 'no', 'me', now()`);
    await jobs('queue, state, limit_key', `'limited', 'held', 'WaveJob'`);
    await jobs('queue, state, priority', `'urgent', 'ready', -5`);
    await jobs('queue, state, priority', `'idle', 'held', 5`);
    await created.query(
      `insert into job_dead (id, queue, class, payload, attempts, tags, error, messages, search, batch_id)
       select id, 'dead', class, payload, 5, '{}', 'Error', '', '', batch_id from job_queue where queue = 'batch'`,
    );
    const before = await states();
    assert.equal(Object.keys(before).length, 7);

    for (const file of [...LATER].reverse()) await (await load(file)).down(database.knex);
    // Without priorities nobody would admit the one that is held for its own.
    assert.deepEqual(await states(), { ...before, idle: 'ready' });
    assert.deepEqual(await dead(), [{ queue: 'dead' }]);

    for (const file of LATER) await (await load(file)).up(database.knex);
    assert.deepEqual(await states(), { ...before, idle: 'ready' });
    assert.deepEqual(await dead(), [{ queue: 'dead' }]);
  });
});
