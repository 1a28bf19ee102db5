import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { Model } from '../../lib/model/model';
import { transaction } from '../../lib/model/transaction';
import { defineApp } from '../../lib/role/app/app-definition';
import {
  assertEnqueuedJobs,
  performEnqueuedJobs,
  type TestDatabase,
  type TestJobs,
  useFakeJobs,
  useInlineJobs,
  useTestDatabase,
} from '../../lib/testing';
import { folderOf } from '../mailer/mail-system';
import { createDatabase } from '../support/postgres';

class Note extends Model {
  static override readonly tableName = 'notes';
  declare id: number;
  declare text: string;
}

const MIGRATION = `exports.up = (knex) => knex.schema.createTable('shops', (table) => table.text('name'));
exports.down = (knex) => knex.schema.dropTable('shops');`;

const seen: (string | undefined)[] = [];

class ReadJob extends Job<[id: number]> {
  async perform(id: number) {
    seen.push((await Note.query().findById(id))?.text);
  }
}

class FailJob extends Job {
  perform() {
    throw new RangeError('the job failed');
  }
}

describe('jobs enqueued inside a transaction', () => {
  let created: Awaited<ReturnType<typeof createDatabase>>;
  let database: TestDatabase;
  let jobs: TestJobs;

  before(async () => {
    created = await createDatabase();
    await created.query(
      'create table notes (id serial primary key, text text, created_at timestamptz, updated_at timestamptz)',
    );
    database = await useTestDatabase({ url: created.url });
  });
  after(async () => {
    await database.close();
    await created.drop();
  });
  beforeEach(async () => {
    seen.length = 0;
    jobs = await useFakeJobs();
  });
  afterEach(async () => {
    await jobs.restore();
    await database.rollBack();
    await created.query('truncate notes');
  });

  const write = async (text = 'written') => {
    const note = await Note.query().insert({ text });
    await ReadJob.performLater(note.id);
    return note;
  };
  const noteCount = async () => (await created.query('select 1 from notes')).length;
  const rolledBack = (work: () => Promise<unknown>) =>
    assert.rejects(
      transaction(async () => {
        await work();
        throw new Error('taken back');
      }),
      /taken back/,
    );

  it("are performed outside the caller's transaction", async () => {
    const { id } = await write();
    await transaction(async () => {
      await Note.query().findById(id).patch({ text: 'changed' });
      await performEnqueuedJobs();
    });
    assert.deepEqual(seen, ['written']);
  });

  describe('of the test, which never commits,', () => {
    beforeEach(() => database.begin());

    it('count as usual, and leave nothing behind', async () => {
      const note = await write();
      assertEnqueuedJobs(1);
      await transaction(async () => {
        await write('second');
        await transaction(() => write('third'));
        assertEnqueuedJobs(1);
      });
      assertEnqueuedJobs(3);
      await rolledBack(write);
      assertEnqueuedJobs(3);
      await performEnqueuedJobs();
      assert.deepEqual(seen, ['written', 'second', 'third']);
      assert.equal((await database.knex('notes').where({ id: note.id })).length, 1);
      assert.equal(await noteCount(), 0, 'other connections see none of it');
      await database.rollBack();
      assert.equal((await database.knex('notes')).length, 0);
    });

    it('cannot be nested with a second begin()', () => assert.rejects(database.begin(), /already open/));
  });

  describe('and performed inline', () => {
    beforeEach(async () => {
      await jobs.restore();
      jobs = await useInlineJobs();
    });

    it('make transaction() reject when they fail, although its work is committed', async () => {
      const work = transaction(async () => {
        await write();
        await FailJob.performLater();
      });
      await assert.rejects(work, RangeError);
      assert.deepEqual(seen, ['written'], 'the other job has ended, too');
      assert.equal(await noteCount(), 1);
    });

    it("run when the outermost savepoint of a test's transaction is released", async () => {
      await database.begin();
      await transaction(async () => {
        await transaction(() => write());
        assert.deepEqual(seen, []);
      });
      assert.deepEqual(seen, ['written']);
      await assert.rejects(FailJob.performLater(), RangeError);
    });
  });

  it('find the tables of the app and of Catamount, even if several processes migrate at once', async () => {
    const fresh = await createDatabase();
    const root = folderOf({ 'migrations/20300101000000_shops.js': MIGRATION });
    const app = defineApp({ name: 'shop', root, routes: async () => ({ default: () => undefined }) });
    const opened = await Promise.all([1, 2, 3].map(() => useTestDatabase({ url: fresh.url, app })));
    try {
      assert.deepEqual(await fresh.query('select * from shops'), []);
      assert.deepEqual(await fresh.query('select * from job_queue'), []);
    } finally {
      await Promise.all(opened.map((one) => one.close()));
      await fresh.drop();
      await database.close();
      database = await useTestDatabase({ url: created.url });
    }
  });

  it('need a database that answers', async () => {
    const url = new URL(created.url);
    url.pathname = 'missing';
    await assert.rejects(useTestDatabase({ url: url.toString() }), /"missing" does not exist/);
  });
});
