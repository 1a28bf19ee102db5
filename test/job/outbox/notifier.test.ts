import assert from 'node:assert/strict';
import pg from 'pg';
import { Events } from '../../../lib/core/events';
import { OutboxNotifier } from '../../../lib/job/outbox/notifier';
import { CHANNEL } from '../../../lib/job/outbox/outbox';
import { Database } from '../../../lib/model/database';
import { connectTransactions, transaction } from '../../../lib/model/transaction';
import { Deadline } from '../../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { until } from '../../support/until';

describe('the notifier of the outbox', () => {
  let postgres: TestDatabase;
  let database: Database;
  let listener: pg.Client;
  let notifier: OutboxNotifier;
  let notes = 0;
  before(async () => {
    postgres = await createDatabase();
    database = new Database(postgres.url, { production: false, events: new Events() });
    connectTransactions(database.knex);
    listener = new pg.Client(postgres.url);
    await listener.connect();
    await listener.query(`listen ${CHANNEL}`);
    listener.on('notification', () => notes++);
  });
  after(async () => {
    connectTransactions(undefined);
    await listener.end();
    await database.stop(Deadline.after(30_000));
    await postgres.drop();
  });
  beforeEach(() => {
    notes = 0;
    notifier = new OutboxNotifier(database.knex);
  });

  /** What was sent before it has come by then. */
  const all = async () => {
    const before = notes;
    await database.knex.raw('select pg_notify(?, ?)', [CHANNEL, 'the last one']);
    await until('the last one is here', () => notes > before);
    return notes - 1;
  };

  it('tells of rows in a transaction when the outermost has committed, and not before', async () => {
    await transaction(async () => {
      await transaction(async (inner) => notifier.inserted(inner));
      assert.equal(await all(), 0);
      notes = 0;
    });
    await until('it is told', () => notes === 1);
  });

  it('sends one note for all that commits soon after another, and loses none', async () => {
    for (let n = 0; n < 100; n++) notifier.inserted(database.knex);
    await until('the last is told', () => notes === 2);
    assert.equal(await all(), 2);
  });

  it('goes on when a note could not be sent', async () => {
    await database.knex.raw(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and pid <> ?`,
      [(await listener.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0],
    );
    notifier.inserted(database.knex);
    notifier.inserted(database.knex);
    await until('the second is told', () => notes >= 1);
  });
});
