import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { runPrepared } from '../../lib/model/prepared';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { TransactionPooler } from '../support/transaction-pooler';

describe('a prepared statement', () => {
  let created: TestDatabase;
  let pooler: TransactionPooler;
  const databases: Database[] = [];

  before(async () => {
    created = await createDatabase();
    // All clients share one connection.
    pooler = await TransactionPooler.open(created.url, 1);
  });
  afterEach(async () => {
    for (const database of databases.splice(0)) await database.stop(Deadline.after(30_000));
  });
  after(async () => {
    await pooler.close();
    await created.drop();
  });

  const connect = (url: string) => {
    const database = new Database(url, { production: false, events: new Events(), poolMax: 1 });
    databases.push(database);
    return database;
  };
  const double = async ({ knex }: Database, number: number) => {
    const { rows } = await runPrepared<{ twice: number }>(knex, 'double', 'select ?::int * 2 as twice', [number]);
    return rows[0]?.twice;
  };
  const prepared = async ({ knex }: Database) => {
    const { rows } = await knex.raw<{ rows: { name: string }[] }>('select name from pg_prepared_statements');
    return rows.map(({ name }) => name);
  };

  it('is prepared once by each connection', async () => {
    const database = connect(created.url);
    assert.deepEqual([await double(database, 2), await double(database, 3)], [4, 6]);
    assert.deepEqual(await prepared(database), ['double']);
  });

  it('is sent unprepared in a transaction, which an error would end', async () => {
    const database = connect(created.url);
    await database.knex.transaction(async (trx) => {
      await runPrepared(trx, 'double', 'select ?::int * 2 as twice', [2]);
    });
    assert.deepEqual(await prepared(database), []);
  });

  it('is sent unprepared, after one try, where another client of a pooler has prepared it', async () => {
    const [first, second] = [connect(pooler.url), connect(pooler.url)];
    assert.equal(await double(first, 2), 4);
    assert.deepEqual([await double(second, 3), await double(second, 4)], [6, 8]);
    await second.knex.raw('deallocate all');
    assert.equal(await double(second, 5), 10);
    assert.deepEqual(await prepared(second), []);
  });

  it('is sent unprepared when the connection has lost it', async () => {
    const database = connect(created.url);
    assert.equal(await double(database, 2), 4);
    await database.knex.raw('deallocate all');
    assert.deepEqual([await double(database, 3), await double(database, 4)], [6, 8]);
    assert.deepEqual(await prepared(database), []);
  });
});
