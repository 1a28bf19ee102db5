import assert from 'node:assert/strict';
import type { QueryBuilder } from 'objection';
import { Model } from '../../lib/model/model';
import { connectTransactions, transaction } from '../../lib/model/transaction';
import { useDatabase, usePostgres } from '../support/stores';

class Note extends Model {
  static override readonly tableName = 'notes';
  static override readonly timestamps = false;
  declare id: string;
  declare bodyText: string;
}

class KeptNote extends Note {
  static onCreateQuery(query: QueryBuilder<KeptNote>): void {
    void query.where('body_text', '<>', 'deleted');
  }
}

class LoudNote extends Note {
  override $afterFind(): void {
    this.bodyText = this.bodyText.toUpperCase();
  }
}

class Pair extends Model {
  static override readonly tableName = 'pairs';
  static override readonly idColumn = ['a', 'b'];
}

describe('Model.findById', () => {
  const created = usePostgres();
  const database = useDatabase(created, { poolMax: 1 });

  before(async () => {
    await created.query('create table notes (id bigint primary key, body_text text)');
    await created.query(`insert into notes values (1, 'first'), (2, 'deleted')`);
    await created.query('create table pairs (a int, b int, primary key (a, b))');
    await created.query('insert into pairs values (1, 2)');
    Model.knex(database.knex);
    connectTransactions(database.knex);
  });
  after(() => connectTransactions(undefined));

  it('finds a record of the model by a prepared statement, or nothing', async () => {
    const note = await Note.findById(1);
    assert.ok(note instanceof Note);
    assert.deepEqual({ ...note }, { ...(await Note.query().findById(1)) });
    assert.equal(note.bodyText, 'first');
    assert.equal(await Note.findById('3'), undefined);
    const { rows } = await database.knex.raw<{ rows: unknown[] }>('select from pg_prepared_statements');
    assert.equal(rows.length, 1);
    await assert.rejects(Note.findById('one'), { code: '22P02' });
  });

  it("keeps what a model's hooks do, and finds by a composite key", async () => {
    assert.deepEqual([(await KeptNote.findById(1))?.id, await KeptNote.findById(2)], ['1', undefined]);
    assert.equal((await LoudNote.findById(1))?.bodyText, 'FIRST');
    assert.ok(await Pair.findById([1, 2]));
  });

  it('reads in the ambient transaction', async () => {
    const bodies = await transaction(async () => {
      await Note.query().findById(1).patch({ bodyText: 'changed' });
      return [(await Note.findById(1))?.bodyText, (await Note.findById(2))?.bodyText];
    });
    assert.deepEqual(bodies, ['changed', 'deleted']);
  });

  it('goes on when a migration has changed the table meanwhile', async () => {
    await Note.findById(2);
    await created.query('alter table notes add column stars int default 5');
    assert.equal(Reflect.get((await Note.findById(2)) ?? {}, 'stars'), 5);
  });
});
