import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Knex } from 'knex';
import { connectTransactions, onOutcome, transaction } from '../../lib/model/transaction';
import { useDatabase, usePostgres } from '../support/stores';
import { until } from '../support/until';

describe('the outcome of a transaction', () => {
  const created = usePostgres();
  const database = useDatabase(created);
  let knex: Knex;
  const heard: string[] = [];
  const listen = (trx: Knex.Transaction, name = 'it') =>
    onOutcome(trx, (committed) => heard.push(`${name} ${committed ? 'stays' : 'is gone'}`));

  before(() => {
    knex = database.knex;
  });
  beforeEach(() => {
    connectTransactions(knex);
    heard.length = 0;
  });
  after(() => connectTransactions(undefined));

  it('is known by the time that transaction() resolves, and not before', async () => {
    await transaction(async (trx) => {
      listen(trx);
      await trx.raw('select 1');
      assert.deepEqual(heard, []);
    });
    assert.deepEqual(heard, ['it stays']);
  });

  it('is a rollback when the work rejects', async () => {
    await assert.rejects(
      transaction(async (trx) => {
        listen(trx);
        throw new Error('no');
      }),
    );
    assert.deepEqual(heard, ['it is gone']);
  });

  it('is unknown for a savepoint until the outermost transaction ends', async () => {
    await transaction(async (outer) => {
      await transaction(async (inner) => {
        assert.notEqual(inner, outer);
        await transaction(async (innermost) => listen(innermost, 'the innermost'));
        listen(inner, 'the inner');
      });
      assert.deepEqual(heard, []);
    });
    assert.deepEqual(heard.sort(), ['the inner stays', 'the innermost stays']);
  });

  it('is a rollback for a released savepoint when the outermost transaction rolls back', async () => {
    await assert.rejects(
      transaction(async () => {
        await transaction(async (inner) => listen(inner));
        throw new Error('no');
      }),
    );
    assert.deepEqual(heard, ['it is gone']);
  });

  it('is known at once for a savepoint that is rolled back, and does not affect the outer transaction', async () => {
    await transaction(async (outer) => {
      listen(outer, 'the outer');
      await assert.rejects(
        transaction(async (inner) => {
          listen(inner, 'the inner');
          throw new Error('no');
        }),
      );
      assert.deepEqual(heard, ['the inner is gone']);
    });
    assert.deepEqual(heard, ['the inner is gone', 'the outer stays']);
  });

  it("is reported for knex's own transactions, too, whether ended by hand or by a function", async () => {
    const committed = await knex.transaction();
    listen(committed, 'committed');
    await committed.commit();
    assert.deepEqual(heard, ['committed stays']);
    const takenBack = await knex.transaction();
    listen(takenBack, 'taken back');
    // knex resolves this executionPromise, although the transaction is rolled back.
    await takenBack.rollback();
    await takenBack.executionPromise;
    const byFunction = knex.transaction(async (trx) => listen(trx, 'by a function'));
    await byFunction;
    assert.deepEqual(heard, ['committed stays', 'taken back is gone', 'by a function stays']);
  });

  it('is a rollback when Postgres answers COMMIT with ROLLBACK', async () => {
    await knex.transaction(async (trx) => {
      listen(trx);
      await trx.raw('select nonsense').catch(() => undefined);
    });
    assert.deepEqual(heard, ['it is gone']);
  });

  it('is a rollback when the connection breaks at the commit', async () => {
    const trx = await knex.transaction();
    listen(trx);
    const { rows } = await trx.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid');
    await created.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    trx.executionPromise.catch(() => undefined);
    await trx.commit();
    assert.deepEqual(heard, ['it is gone']);
    await until('the pool has another connection', async () => (await knex.raw('select 1')).rowCount === 1);
  });

  it('cannot be listened for once the transaction is over', async () => {
    const trx = await knex.transaction();
    await trx.commit();
    assert.throws(() => listen(trx), /the transaction is over/);
  });

  it('is awaited with its listeners by transaction(), which rejects when one of them does', async () => {
    let done = false;
    const begun = transaction(async (trx) =>
      onOutcome(trx, async () => {
        await nextTurn();
        done = true;
      }),
    );
    await begun;
    assert.ok(done);
    await assert.rejects(
      transaction(async (trx) =>
        onOutcome(trx, async () => {
          await nextTurn();
          throw new Error('too late');
        }),
      ),
      /too late/,
    );
  });

  it("is that of the part inside when a test's own transaction stands for the database", async () => {
    const own = await knex.transaction();
    connectTransactions(own);
    try {
      listen(own, 'directly');
      assert.deepEqual(heard, ['directly stays']);
      await transaction(async (trx) => {
        await transaction(async (inner) => listen(inner, 'the savepoint'));
        assert.deepEqual(heard, ['directly stays']);
        await trx.raw('select 1');
      });
      assert.deepEqual(heard, ['directly stays', 'the savepoint stays']);
      await assert.rejects(
        transaction(async (trx) => {
          listen(trx, 'the other');
          throw new Error('no');
        }),
      );
      assert.deepEqual(heard.slice(2), ['the other is gone']);
    } finally {
      await own.rollback();
    }
    assert.equal(heard.length, 3);
  });
});
