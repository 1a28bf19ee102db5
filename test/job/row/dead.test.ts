import assert from 'node:assert/strict';
import type { JsonValue } from '../../../lib/core/execution-context';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { MAX_DEAD, pruneDead } from '../../../lib/job/row/dead';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from '../sets/set-sources';
import { store, storeDead } from '../sets/stored-job';

const ran: string[] = [];
let deadly = true;

class MoodyJob extends Job<[name: JsonValue]> {
  static override tags = ['moody'];
  static override readonly limit = { count: 9 };

  async perform(name: JsonValue): Promise<void> {
    ran.push(String(name));
    const cursor = await this.resumeFrom<string>();
    if (!deadly) ran.push(`from ${cursor}`);
    await this.checkpoint(`${name} half done`);
    await this.progress({ share: 0.5 });
    if (deadly) throw new KillJob(`no ${name}`);
  }
}

describe('jobs that die', () => {
  let sets: Sets;
  const system = useJobSystem({
    empty: [ran],
    reset: () => {
      deadly = true;
    },
  });
  before(() => {
    sets = setsOf(setSources(system));
  });

  const isDead = (id: string) => until('the job is dead', async () => (await system.deadIds()).includes(id));
  const entryOf = async (id: string) => (await sets.dead.entries([id]))[0] ?? assert.fail('the job is not dead');

  it('move to the dead set in the statement that ends their run, with all that is known of them', async () => {
    await system.processor([MoodyJob]);
    const { id } = await MoodyJob.performLater('a');
    await isDead(id);
    assert.equal(await system.jobCount(), 0);
    const { args, attempts, reason, errors, tags, progress } = await entryOf(id);
    assert.deepEqual([args, attempts, reason, tags, progress], [['a'], 1, 'no a', ['moody'], { share: 0.5 }]);
    assert.equal(errors[0]?.run?.attempt, 1);
    assert.deepEqual(await system.postgres.query('select limit_key from job_dead'), [{ limit_key: 'MoodyJob' }]);
  });

  it('do not need Redis: neither their death, nor a retry', async () => {
    await system.processor([MoodyJob]);
    await system.redisServer.kill();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    const { id } = await MoodyJob.performLater('a');
    await isDead(id);
    deadly = false;
    assert.equal(await isMoved(sets.dead.move('retry', { ids: [id] })), true);
    await until('the job has run again, from its cursor', () => ran.length === 3);
    assert.deepEqual(ran, ['a', 'a', 'from a half done']);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
    assert.equal((await sets.find(id)).place, 'gone');
  });

  it('keep their rows while Postgres refuses their death, and are dead afterwards', async () => {
    await system.processor([MoodyJob]);
    await system.postgres.query(`create function refuse() returns trigger language plpgsql as
      'begin raise exception ''no deaths today''; end'`);
    await system.postgres.query('create trigger refuse before insert on job_dead execute function refuse()');
    try {
      await MoodyJob.performAllLater(['a', 'b', 'c'].map((name) => [name]));
      await until('Postgres has refused a death', () => system.eventsNamed('queue.error').length > 0);
      assert.deepEqual([await system.deadIds(), await system.jobCount()], [[], 3]);
    } finally {
      await system.postgres.query('drop function refuse cascade');
    }
    await until('all jobs are dead', async () => (await system.deadIds()).length === 3);
    assert.deepEqual([ran.sort(), await system.jobCount()], [['a', 'b', 'c'], 0]);
  });

  it('keep cursor and progress when an operator kills them', async () => {
    const id = await store(system.database.knex, 'scheduled', {
      class: 'MoodyJob',
      args: ['a'],
      errors: ['not yet'],
      progress: 0.5,
    });
    await system.postgres.query(`update job_queue set cursor = '"a third"' where id = $1`, [id]);
    await sets.retry.move('kill', { ids: [id] });
    const { progress, class: name, reason } = await entryOf(id);
    assert.deepEqual([progress, name, reason], [0.5, 'MoodyJob', 'killed by an operator']);
    const [row] = await system.postgres.query<{ cursor: unknown }>('select cursor from job_dead');
    assert.equal(row?.cursor, 'a third');
  });

  it('keep everything, even text that Postgres cannot store as such, except the passwords of URLs', async () => {
    const odd: JsonValue = ['€한국\u2028', '{}', ''];
    class OddJob extends Job<[text: JsonValue]> {
      perform(text: JsonValue): void {
        ran.push(String(text));
        if (deadly)
          throw new KillJob('a NUL \0, half a pair \ud800, redis://:s3cret@h', { cause: new Error('pg://u:s3cret@h') });
      }
    }
    await system.processor([OddJob]);
    const { id } = await OddJob.performLater(odd);
    await isDead(id);
    const { args, reason } = await entryOf(id);
    assert.deepEqual([args, reason?.includes('\ufffd')], [[odd], true]);
    assert.deepEqual(await system.postgres.query(`select from job_dead as dead where dead::text ~ 's3cret'`), []);
    deadly = false;
    assert.equal(await isMoved(sets.dead.move('retry', { ids: [id] })), true);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('wait behind the jobs that wait already when they are retried, in the order of their deaths', async () => {
    const { knex } = system.database;
    const [late = '', early = ''] = [
      await storeDead(knex, { at: 1_700_000_060_000 }),
      await storeDead(knex, { at: 1_700_000_000_000 }),
    ];
    const waiting = await store(knex, 'ready', { at: Date.now() });
    await sets.dead.move('retry', { ids: [late, early] });
    const rows = await system.postgres.query<{ id: string }>('select id from job_queue order by run_at');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [waiting, early, late],
    );
  });

  it('get all attempts of their rules again when they are retried', async () => {
    const id = await storeDead(system.database.knex, { errors: ['busy'] });
    await system.postgres.query(
      `update job_dead set history = (history::jsonb || '{"attemptsBy": {"BusyError": 3}}')::json where id = $1`,
      [id],
    );
    assert.equal(await isMoved(sets.dead.move('retry', { ids: [id] })), true);
    const [row] = await system.postgres.query<{ by: unknown }>(
      `select history -> 'attemptsBy' as by from job_queue where id = $1`,
      [id],
    );
    assert.deepEqual(row, { by: null });
  });

  it('are kept for 180 days, and up to a number for each queue', async () => {
    await system.postgres.query(
      `insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, died_at)
       select gen_random_uuid(), 'default', 'OldJob', '{}', '', 1, '{}', '', '', now() - n * interval '1 second'
       from generate_series(1, $1::int) as n`,
      [MAX_DEAD + 2],
    );
    await system.postgres.query(
      `insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, died_at)
       select gen_random_uuid(), 'mailer', 'OldJob', '{}', '', 1, '{}', '', '', now() - days * interval '1 day'
       from unnest(array[1, 181]) as days`,
    );
    assert.deepEqual(await pruneDead(system.database.knex), [
      { queue: 'default', count: 2, reason: 'limit' },
      { queue: 'mailer', count: 1, reason: 'age' },
    ]);
    assert.deepEqual(await pruneDead(system.database.knex), []);
  });
});
