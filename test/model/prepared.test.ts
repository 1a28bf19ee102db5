import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { runPrepared } from '../../lib/model/prepared';
import { Deadline } from '../../lib/support/deadline';
import { usePostgres } from '../support/stores';
import { inSuite, keepInTest } from '../support/suite';
import { TransactionPooler } from '../support/transaction-pooler';

describe('a prepared statement', () => {
  const created = usePostgres();
  // All its clients share one connection.
  const pooler = inSuite('close', () => TransactionPooler.open(created.url, 1));
  const keep = keepInTest((database: Database) => database.stop(Deadline.after(30_000)));

  const connect = (url: string) => keep(new Database(url, { production: false, events: new Events(), poolMax: 1 }));
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
