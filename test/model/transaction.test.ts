import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Database } from '../../lib/model/database';
import { Model } from '../../lib/model/model';
import { connectTransactions, currentTransaction, transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { deferred } from '../../lib/support/deferred';
import { createDatabase, type TestDatabase } from '../support/postgres';

class Note extends Model {
  static override readonly tableName = 'notes';
  declare id: number;
  declare bodyText: string;
}

/** A table of an existing app, without the columns of timestamps. */
class OldNote extends Model {
  static override readonly tableName = 'old_notes';
  declare id: number;
  declare body: string;
}

class PlainNote extends OldNote {
  static override readonly timestamps = false;
}

describe('transaction', () => {
  let created: TestDatabase;
  let database: Database;
  /** The models whose queries began after the commit. */
  const left: string[] = [];

  before(async () => {
    created = await createDatabase();
    await created.query(
      'create table notes (id serial primary key, body_text text unique, created_at timestamptz, updated_at timestamptz)',
    );
    await created.query('create table old_notes (id serial primary key, body text)');
    database = new Database(created.url, { production: false, events: new Events() });
    Model.knex(database.knex);
    connectTransactions(database.knex, (model) => left.push(model));
  });
  after(async () => {
    connectTransactions(undefined);
    await database.stop(Deadline.after(30_000));
    await created.drop();
  });
  beforeEach(() => created.query('truncate notes'));

  const write = (bodyText: string) => Note.query().insert({ bodyText });
  const stored = async () =>
    (await created.query('select body_text from notes order by 1')).map((row) => row.body_text);

  it('commits everything together, and returns the result of the work', async () => {
    const result = await transaction(async () => {
      await write('a');
      await write('b');
      assert.deepEqual(await stored(), [], 'nobody else sees it before the commit');
      return 'done';
    });
    assert.equal(result, 'done');
    assert.deepEqual(await stored(), ['a', 'b']);
  });

  it('rolls back when the work rejects, and rejects with the same error', async () => {
    const failure = new Error('no');
    const work = transaction(async () => {
      await write('a');
      throw failure;
    });
    await assert.rejects(work, (error) => error === failure);
    assert.deepEqual(await stored(), []);
  });

  it('is current for asynchronous code inside it, and for none outside', async () => {
    assert.equal(currentTransaction(), undefined);
    let late: unknown = 'unset';
    const done = deferred();
    await transaction(async (trx) => {
      await new Promise(setImmediate);
      assert.equal(currentTransaction(), trx);
      setImmediate(() => {
        late = currentTransaction();
        done.resolve();
      });
    });
    await done.promise;
    assert.equal(currentTransaction(), undefined);
    assert.notEqual(late, 'unset');
  });

  it('rejects a query that comes after the rollback, and says what to await', async () => {
    const ended = deferred();
    let late: Promise<unknown> = Promise.resolve();
    const work = transaction(async () => {
      late = ended.promise.then(() => write('late'));
      throw new Error('taken back');
    });
    await assert.rejects(work, /taken back/);
    ended.resolve();
    await assert.rejects(late, /a query of Note was begun in a transaction that has been rolled back.*await/);
    assert.deepEqual(await stored(), []);
  });

  it('rejects a query that comes after its savepoint was rolled back, even if the outer transaction commits', async () => {
    const ended = deferred();
    let late: Promise<unknown> = Promise.resolve();
    await transaction(async () => {
      const inner = transaction(async () => {
        late = ended.promise.then(() => write('late'));
        throw new Error('taken back');
      });
      await assert.rejects(inner, /taken back/);
      await write('outer');
      ended.resolve();
      await assert.rejects(late, /a query of Note was begun in a transaction that has been rolled back/);
    });
    assert.deepEqual(await stored(), ['outer']);
  });

  it('sends a query that comes after the commit to the pool, and reports its model once', async () => {
    left.length = 0;
    await transaction(() => write('in time'));
    const again = deferred();
    const second = await transaction(async () => ({ read: again.promise.then(() => Note.query().resultSize()) }));
    again.resolve();
    assert.equal(await second.read, 1);
    await created.query('truncate notes');
    const ended = deferred();
    const straggler = await transaction(async () => {
      return { written: ended.promise.then(() => write('late')) };
    });
    ended.resolve();
    await straggler.written;
    assert.deepEqual(await stored(), ['late']);
    assert.deepEqual(left, ['Note']);
  });

  it('sends a query that comes during COMMIT to the pool, too', async () => {
    const write = { late: Promise.resolve<unknown>(undefined) };
    await transaction(async (trx) => {
      await Note.query().insert({ bodyText: 'in time' });
      const straggler = async () => {
        while (!trx.isCompleted()) await new Promise(setImmediate);
        return Note.query().insert({ bodyText: 'late' });
      };
      write.late = straggler();
    });
    await write.late;
    assert.deepEqual(await stored(), ['in time', 'late']);
  });

  it('rejects another transaction that its work begins after the rollback, instead of committing it', async () => {
    const ended = deferred();
    let late: Promise<unknown> = Promise.resolve();
    const work = transaction(async () => {
      late = ended.promise.then(() => transaction(() => write('late')));
      throw new Error('taken back');
    });
    await assert.rejects(work, /taken back/);
    ended.resolve();
    await assert.rejects(late, /a transaction was begun in one that has been rolled back: await it inside/);
    assert.deepEqual(await stored(), []);
  });

  it('is a savepoint inside another one: only its own part is rolled back', async () => {
    await transaction(async () => {
      await write('outer');
      await assert.rejects(
        transaction(async () => {
          await write('inner');
          await write('outer');
        }),
        /unique/,
      );
      await transaction(() => write('second inner'));
    });
    assert.deepEqual(await stored(), ['outer', 'second inner']);
  });

  it('takes in work that outlives two savepoints, and rejects it once it is rolled back', async () => {
    const [released, ended] = [deferred(), deferred()];
    let [joining, late]: Promise<unknown>[] = [];
    const outer = transaction(async () => {
      await transaction(() =>
        transaction(async () => {
          await write('inner');
          joining = released.promise.then(() => write('joins'));
          late = ended.promise.then(() => write('late'));
        }),
      );
      released.resolve();
      await joining;
      throw new Error('taken back');
    });
    await assert.rejects(outer, /taken back/);
    ended.resolve();
    await assert.rejects(late ?? Promise.resolve(), /in a transaction that has been rolled back/);
    assert.deepEqual(await stored(), []);
  });

  it('is rolled back with the one around it', async () => {
    await assert.rejects(
      transaction(async () => {
        await transaction(() => write('inner'));
        throw new Error('outer fails');
      }),
    );
    assert.deepEqual(await stored(), []);
  });

  it('is not confused with others that run concurrently', async () => {
    const both = deferred();
    let begun = 0;
    const run = (name: string, fails: boolean) =>
      transaction(async () => {
        await write(name);
        if (++begun === 2) both.resolve();
        await both.promise;
        await write(`${name} again`);
        if (fails) throw new Error('taken back');
      });
    const outcomes = await Promise.allSettled([run('good', false), run('bad', true)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    assert.deepEqual(await stored(), ['good', 'good again']);
  });

  it('lets a query run outside it when that is given another connection', async () => {
    await assert.rejects(
      transaction(async () => {
        await Note.query(database.knex).insert({ bodyText: 'outside' });
        throw new Error('taken back');
      }),
    );
    assert.deepEqual(await stored(), ['outside']);
  });

  it('rejects when Postgres has rejected a statement, even if the work ignored the error', async () => {
    const work = transaction(async () => {
      await write('a');
      await write('a').catch(() => undefined);
    });
    await assert.rejects(work, /a statement has failed, so the transaction is rolled back: .*duplicate key/);
    assert.deepEqual(await stored(), []);
  });

  it('is usable after a savepoint in which Postgres has rejected a statement', async () => {
    await transaction(async () => {
      await write('a');
      const inner = transaction(async () => {
        await write('b');
        await write('a').catch(() => undefined);
      });
      await assert.rejects(inner, /a statement has failed/);
      await write('c');
    });
    assert.deepEqual(await stored(), ['a', 'c']);
  });

  it('does not run its work when it cannot begin', async () => {
    let ran = false;
    await transaction(async (trx) => {
      await trx.raw('select nonsense').catch(() => undefined);
      const inner = transaction(async () => {
        ran = true;
      });
      await assert.rejects(inner, /current transaction is aborted/);
    }).catch(() => undefined);
    assert.equal(ran, false);
  });

  it('says what to do when nothing is connected', async () => {
    connectTransactions(undefined);
    await assert.rejects(
      transaction(async () => undefined),
      /in a process that is not connected: use catamount run or await connect\(app\)/,
    );
    connectTransactions(database.knex);
  });

  it('writes the created_at and updated_at of models', async () => {
    const note = await write('a');
    assert.ok(note.createdAt instanceof Date);
    const read = () => Note.query().findById(note.id).throwIfNotFound();
    const before = await read();
    assert.deepEqual(before.updatedAt, before.createdAt);
    for (const change of [
      (old: Note) => old.$query().patch({ bodyText: 'b' }),
      (old: Note) => old.$query().update(old),
    ]) {
      await created.query(`update notes set updated_at = 'epoch'`);
      await change(await read());
      const after = await read();
      assert.deepEqual([after.createdAt, after.bodyText], [before.createdAt, 'b']);
      assert.ok(Number(after.updatedAt) > 0);
    }
  });

  it('leaves the timestamps out for a model that says so, and otherwise says which column a table lacks', async () => {
    const { id } = await PlainNote.query().insert({ body: 'a' });
    const note = await PlainNote.query().patchAndFetchById(id, { body: 'b' });
    assert.deepEqual(note.toJSON(), { id, body: 'b' });
    const remedy = 'add it by a migration, as table.timestamps(true, true) does, or write static timestamps = false';
    await assert.rejects(async () => OldNote.query().insert({ body: 'a' }), {
      name: 'UserError',
      message: `the table old_notes of the model OldNote has no column created_at: ${remedy} in OldNote`,
    });
    const patched = async () => OldNote.query().patch({ body: 'c' });
    await assert.rejects(patched, /OldNote has no column updated_at: add it/);
    const graph = async () => OldNote.query().insertGraph({ body: 'a' });
    await assert.rejects(graph, /OldNote has no column created_at: add it/);
  });
});
