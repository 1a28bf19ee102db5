import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import { pg } from '../../lib/internals/pg';
import { useDatabase, usePostgres } from '../support/stores';

describe('the statements of a transaction', () => {
  const created = usePostgres();
  // With one connection, each test also shows that the one before it has left no transaction open.
  const database = useDatabase(created, { poolMax: 1 });
  before(() => created.query('create table notes (body text unique)'));
  beforeEach(() => created.query('truncate notes'));

  const insert = (knex: Knex, body: string) => knex.raw('insert into notes (body) values (?)', [body]);
  const deferred = (knex: Knex, body: string) => insert(knex, body).options({ isDeferrable: true });
  const stored = async () => (await created.query('select body from notes order by 1')).map((row) => row.body);

  /** @returns how often the server was waited for. */
  async function roundTrips(work: () => Promise<unknown>): Promise<number> {
    const { client } = database.knex;
    const connection: { readonly connection: NodeJS.EventEmitter } = await client.acquireConnection();
    await client.releaseConnection(connection);
    let count = 0;
    const increment = () => count++;
    connection.connection.on('readyForQuery', increment);
    await work();
    connection.connection.off('readyForQuery', increment);
    return count;
  }

  it('take two round trips for two rows, if the second one is deferrable', async () => {
    const trips = await roundTrips(() =>
      database.knex.transaction(async (trx) => {
        await insert(trx, 'a');
        await deferred(trx, 'b');
      }),
    );
    assert.equal(trips, 2);
    assert.deepEqual(await stored(), ['a', 'b']);
  });

  it('take none if there are none, and one if all are deferrable', async () => {
    assert.equal(await roundTrips(() => database.knex.transaction(async () => undefined)), 0);
    assert.equal(await roundTrips(() => database.knex.transaction((trx) => deferred(trx, 'a'))), 1);
    assert.deepEqual(await stored(), ['a']);
  });

  it('are seen by those after them', async () => {
    await database.knex.transaction(async (trx) => {
      await deferred(trx, 'a');
      await deferred(trx, 'b');
      assert.equal(Number((await trx('notes').count('*'))[0]?.count), 2);
    });
  });

  it('that are deferrable are sent at once outside a transaction', async () => {
    await deferred(database.knex, 'a');
    assert.deepEqual(await stored(), ['a']);
  });

  it('are not kept when it is rolled back, whether they were sent or not', async () => {
    const failing = (...bodies: string[]) =>
      database.knex.transaction(async (trx) => {
        for (const body of bodies) await deferred(trx, body);
        if (bodies.length > 1) await trx.raw('select 1');
        throw new Error('no');
      });
    await assert.rejects(failing(), /^Error: no$/);
    await assert.rejects(failing('a'), /^Error: no$/);
    await assert.rejects(failing('a', 'b'), /^Error: no$/);
    assert.deepEqual(await stored(), []);
  });

  it('fail as one: a deferred one rejects the commit, names itself, and leaves the connection usable', async () => {
    await insert(database.knex, 'taken');
    const only = database.knex.transaction((trx) => deferred(trx, 'taken'));
    await assert.rejects(only, /duplicate key.*in an earlier statement: insert into notes/);
    const second = database.knex.transaction(async (trx) => {
      await insert(trx, 'a');
      await deferred(trx, 'taken');
      await deferred(trx, 'b');
    });
    await assert.rejects(second, /duplicate key/);
    await database.knex.transaction((trx) => insert(trx, 'c'));
    assert.deepEqual(await stored(), ['c', 'taken']);
  });

  it('whose BEGIN fails are not run outside a transaction', async () => {
    // A mode that does not exist fails as a BEGIN that somebody cancels does.
    const { client } = database.knex;
    const connection = await client.acquireConnection();
    const query = (text: string, values: readonly string[]) =>
      new Promise((resolve, reject) => {
        connection.query({ text, values }, (error: Error | null, result: unknown) => {
          if (error) reject(error);
          else resolve(result);
        });
      });
    await query('BEGIN nonsense', []);
    await assert.rejects(query('insert into notes (body) values ($1)', ['a']), /nonsense/);
    await client.releaseConnection(connection);
    assert.deepEqual(await stored(), []);
  });

  it('within a savepoint are undone with it, and leave the transaction usable', async () => {
    await insert(database.knex, 'taken');
    await database.knex.transaction(async (trx) => {
      await deferred(trx, 'a');
      await trx
        .transaction(async (inner) => {
          await deferred(inner, 'b');
          throw new Error('no');
        })
        .catch(() => undefined);
      await assert.rejects(
        trx.transaction((inner) => deferred(inner, 'taken')),
        /duplicate key/,
      );
      await trx.transaction((inner) => deferred(inner, 'c'));
    });
    assert.deepEqual(await stored(), ['a', 'c', 'taken']);
  });

  it('that begin it are isolated as it says', async () => {
    const level = await database.knex.transaction(
      async (trx) => (await trx.raw('show transaction_isolation')).rows[0].transaction_isolation as unknown,
      { isolationLevel: 'serializable' },
    );
    assert.equal(level, 'serializable');
  });

  it('are sent before what somebody sends by an object of its own, such as a cursor', async () => {
    await database.knex.transaction(async (trx) => {
      await deferred(trx, 'a');
      const connection = await trx.client.acquireConnection();
      const result = new Promise((resolve, reject) => {
        const query = new pg.Query('select body from notes', undefined, (error, answer) => {
          if (error) reject(error);
          else resolve(answer.rows);
        });
        connection.query(query);
      });
      assert.deepEqual(await result, [{ body: 'a' }]);
    });
  });
});
