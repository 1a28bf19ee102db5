import assert from 'node:assert/strict';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { User } from '../../../lib/app/models/user';
import { RecordGoneError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { deserializeArguments } from '../../../lib/job/record/argument-decoder';
import { serializeArguments } from '../../../lib/job/record/arguments';
import { UnreadableJobError } from '../../../lib/job/record/payload';
import { Model } from '../../../lib/model/model';
import { loadModels, type ModelLookup } from '../../../lib/model/model-lookup';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';

const ran: unknown[] = [];

class MeetJob extends Job<[user: User, all: { readonly friends: readonly User[] }, at: Date]> {
  perform(user: User, { friends }: { readonly friends: readonly User[] }, at: Date): void {
    ran.push([user.name, friends.map((friend) => friend.name), at]);
  }
}

class UnlistedModel extends Model {
  static override readonly tableName = 'unlisted';
  declare id: number;
}

class Seat extends Model {
  static override readonly tableName = 'seats';
  static override readonly idColumn = ['row', 'place'];
  declare row: number;
  declare place: string;
}

describe('models as arguments', () => {
  let models: ModelLookup;
  let system: JobSystem;
  before(async () => {
    models = await loadModels(path.resolve(__dirname, '../../../lib/app/models'));
    system = await JobSystem.start({ models });
    await system.postgres.query(`
      create table users (id bigint generated always as identity primary key, email text, name text, locale text,
        token_digest bytea, created_at timestamptz, updated_at timestamptz);
      create table seats ("row" int, place text, created_at timestamptz, updated_at timestamptz, primary key ("row", place))`);
    Model.knex(system.database.knex);
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    await system.postgres.query('truncate users');
    ran.length = 0;
  });

  const insert = (name: string) =>
    User.query().insert({ email: `${name}@example.org`, name, locale: 'en', tokenDigest: Buffer.from(name) });

  it('are stored by class and id, and loaded before the job runs', async () => {
    await system.processor([MeetJob]);
    const at = new Date();
    await transaction(async () => {
      const [ann, bob, eve] = [await insert('Ann'), await insert('Bob'), await insert('Eve')];
      await MeetJob.performLater(ann, { friends: [eve, bob, eve] }, at);
      await User.query().findById(bob.id).patch({ name: 'Robert' });
    });
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(ran, [['Ann', ['Eve', 'Robert', 'Eve'], at]]);
  });

  it('are loaded with one query for each class, whatever the type of the ids', async () => {
    const ids = [(await insert('Ann')).id, Number((await insert('Bob')).id)];
    const queries: string[] = [];
    const listen = ({ sql }: { readonly sql: string }) => queries.push(sql);
    system.database.knex.on('query', listen);
    const json = ids.map((id) => ({ $model: ['User', id] }));
    const users = (await deserializeArguments([json, { first: json[0] ?? null }], { models })) as [
      User[],
      { first: User },
    ];
    system.database.knex.off('query', listen);
    assert.deepEqual(
      users[0].map(({ name }) => name),
      ['Ann', 'Bob'],
    );
    assert.equal(users[1].first.name, 'Ann');
    assert.equal(queries.length, 1);
  });

  it('discard the job when a row is gone', async () => {
    const ann = await insert('Ann');
    const bob = await insert('Bob');
    await User.query().deleteById(ann.id);
    await system.processor([MeetJob]);
    await MeetJob.performLater(bob, { friends: [ann] }, new Date());
    await until('the job is discarded', () => system.eventsNamed('job.discarded').length === 1);
    const error = system.eventsNamed('job.discarded')[0]?.error;
    assert.ok(error instanceof RecordGoneError);
    assert.deepEqual(
      [error.model, error.id, error.message],
      ['User', ann.id, `the User with the id ${ann.id} is gone`],
    );
    assert.deepEqual(ran, []);
  });

  it('are loaded anew for performNow, too', async () => {
    const ann = await insert('Ann');
    ann.name = 'changed, but not saved';
    await MeetJob.performNow(ann, { friends: [] }, new Date(0));
    assert.deepEqual(ran, [['Ann', [], new Date(0)]]);
    await User.query().deleteById(ann.id);
    await assert.rejects(MeetJob.performNow(ann, { friends: [] }, new Date(0)), RecordGoneError);
  });

  it('may have a composite key', async () => {
    const lookup = { get: () => Seat, place: 'here' };
    const seats = [
      await Seat.query().insert({ row: 1, place: 'b' }),
      await Seat.query().insert({ row: 2, place: 'a' }),
    ];
    const json = serializeArguments('SitJob', seats, { models: lookup });
    assert.deepEqual(json, [{ $model: ['Seat', [1, 'b']] }, { $model: ['Seat', [2, 'a']] }]);
    assert.deepEqual(await deserializeArguments(json, { models: lookup }), await Seat.query().orderBy('row'));
    assert.ok((await deserializeArguments([{ $model: ['Seat', ['1', 'b']] }], { models: lookup }))[0]);
    const gone = [{ $model: ['Seat', [1, 'a']] }];
    await assert.rejects(
      async () => deserializeArguments(gone, { models: lookup }),
      /the Seat with the id 1,a is gone/,
    );
  });

  it('are refused without an id, or when the models folder does not have their class', async () => {
    assert.throws(() => serializeArguments('MeetJob', [new User()], { models }), /argument 1 is a User without an id/);
    const half = Seat.fromJson({ row: 1 });
    assert.throws(() => serializeArguments('SitJob', [half]), /is a Seat without an id/);
    const unlisted = UnlistedModel.fromJson({ id: 1 });
    assert.throws(
      () => serializeArguments('MeetJob', [{ who: unlisted }], { models }),
      /argument 1 \.who is a UnlistedModel, which no file in .*lib\/app\/models exports/,
    );
    const another = class extends User {};
    Object.defineProperty(another, 'name', { value: 'User' });
    assert.throws(
      () => serializeArguments('MeetJob', [another.fromJson({ id: 1 })], { models }),
      /argument 1 is a User, which no file in .*lib\/app\/models exports, but another of that name: its file was loaded twice/,
    );
  });

  it('cannot be read when this app does not have their class', async () => {
    const read = async (known?: ModelLookup) => deserializeArguments([{ $model: ['Planet', 1] }], { models: known });
    await assert.rejects(read(models), /an argument is a Planet, which no file in .* exports/);
    await assert.rejects(read(), /this process knows no models/);
  });

  it('cannot be read beside an argument that is nonsense, and leave no rejection unhandled', async () => {
    const read = async () => deserializeArguments([{ $model: ['Planet', 1] }, { $date: 'never' }], { models });
    await assert.rejects(read(), UnreadableJobError);
    await nextTurn();
  });
});
