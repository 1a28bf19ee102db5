import assert from 'node:assert/strict';
import { UnknownJobError } from '../../../lib/job/definition/errors';
import { notify } from '../../../lib/job/hint/notifier';
import { Job } from '../../../lib/job/job';
import { JobsLeft } from '../../../lib/job/perform/jobs-left';
import { findJob } from '../../../lib/job/sets/find-job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { store } from '../sets/stored-job';

const ran: unknown[] = [];

class NewJob extends Job<[word: string]> {
  static override retry = { limit: 1 };

  perform(word: string): void {
    ran.push([word, this.context.attempt, this.context.deliveries]);
    if (word === 'fails' && this.context.attempt === 1) throw new Error('once');
  }
}

describe('a job that only another release can run', () => {
  const system = useJobSystem({ empty: [ran] });
  const left = (times: number) => until('the job is left', () => system.eventsNamed('job.left').length >= times);
  const row = async (id: string) => {
    const [found] = await system.postgres.query(
      'select state, attempts, deliveries, error from job_queue where id = $1',
      [id],
    );
    return found;
  };
  const none = (name: 'job.retrying' | 'job.dead') => assert.deepEqual(system.eventsNamed(name), []);

  it('is left, however often, until a processor has its class, and no attempt is counted', async () => {
    await system.skipWaits();
    const old = await system.processor([]);
    const { id } = await NewJob.performLater('first');
    await left(30);
    const { attempts, error } = (await row(id)) ?? {};
    assert.deepEqual([attempts, error], [0, null]);
    const [told] = old.left;
    assert.deepEqual([told?.class, told?.reason], ['NewJob', 'there is no job class NewJob in this app']);
    const levels = system.eventsNamed('job.left').map(({ wasLogged }) => wasLogged);
    assert.deepEqual([...new Set(levels.slice(1)), levels[0]], [true, false], 'the log warns once a minute');
    await system.processor([NewJob]);
    await until('the newer processor has run it', () => ran.length === 1);
    assert.deepEqual(ran, [['first', 1, 1]]);
    none('job.retrying');
    none('job.dead');
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('waits a share of its age, since when it could run at first', async () => {
    const { id } = await NewJob.performLater('old');
    await system.postgres.query(`update job_queue set run_at = now() - interval '100 minutes' where id = $1`, [id]);
    await system.processor([]);
    const waitS = async () => {
      const [found] = await system.postgres.query<{ seconds: number }>(
        `select extract(epoch from run_at - now())::float8 as seconds from job_queue where id = $1 and state = 'scheduled'`,
        [id],
      );
      return found?.seconds;
    };
    for (let times = 1; times <= 3; times++) {
      await left(times);
      const seconds = await until('the job is left', waitS);
      assert.ok(seconds > 440 && seconds < 760, `${seconds} s, the ${times}th time`);
      await system.postgres.query(`update job_queue set run_at = now(), state = 'ready' where id = $1`, [id]);
      await notify(system.database.knex, 'look');
    }
  });

  it('keeps the count of its deliveries that ended without an outcome', async () => {
    const { id } = await NewJob.performLater('has killed two');
    await system.postgres.query('update job_queue set deliveries = 2 where id = $1', [id]);
    await system.processor([]);
    await until('the job waits', async () => (await row(id))?.state === 'scheduled');
    assert.equal((await row(id))?.deliveries, 2, 'a job that kills its process keeps its count');
  });

  it('is left unchanged when its format is newer, with its unknown fields', async () => {
    await system.skipWaits();
    const payload = '{"v":4,"class":"NewJob","args":{"word":"by name"},"fresh":{"a":[]}}';
    const id = await store(system.database.knex, 'ready', { class: 'NewJob', payload });
    const old = await system.processor([NewJob]);
    await left(3);
    const [stored] = await system.postgres.query('select payload::text from job_queue where id = $1', [id]);
    assert.deepEqual(stored, { payload });
    assert.match(old.left[0]?.reason ?? '', /^NewJob was enqueued in format 4 by a newer release; this one knows 3$/);
    assert.deepEqual(ran, []);
    none('job.dead');
    assert.equal((await findJob(system.database.knex, id)).entry?.class, 'NewJob');
  });

  it('runs when a known format has additional fields', async () => {
    await store(system.database.knex, 'ready', { payload: '{"v":1,"class":"NewJob","args":["word"],"fresh":{"x":1}}' });
    await system.processor([NewJob]);
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(ran, [['word', 1, 1]]);
  });
});

describe('jobs that are left', () => {
  const DAY = 24 * 3600 * 1000;
  const error = new UnknownJobError('there is none');

  it('wait a tenth of their age, at least a second and at most a quarter of an hour, and fail after 21 days', () => {
    const waits = (age: number) => new JobsLeft(() => 0.5).decide('A', error, age)?.waitMs;
    assert.deepEqual(
      [0, 1].map((random) => new JobsLeft(() => random).decide('A', error, random * DAY)?.waitMs),
      [1000, 900_000],
      'within the bounds, whatever is added at random',
    );
    assert.deepEqual([-5000, 0, 60_000, DAY, 20 * DAY, 22 * DAY].map(waits), [
      1000,
      1000,
      6000,
      900_000,
      900_000,
      undefined,
    ]);
  });

  it('are listed until none has been fetched for a while, and are logged once a minute for each class', () => {
    let at = 0;
    const jobs = new JobsLeft(
      () => 0.5,
      () => at,
    );
    const again = (name: string) => jobs.decide(name, error, 0)?.wasLogged;
    assert.deepEqual([again('A'), again('A'), again('B')], [false, true, false]);
    at = 60_000;
    assert.equal(again('A'), false);
    assert.deepEqual(
      jobs.list().map(({ class: name, times, spanMs }) => [name, times, spanMs]),
      [
        ['A', 3, 60_000],
        ['B', 1, 60_000],
      ],
    );
    at = 100_000;
    assert.deepEqual(
      jobs.list().map((one) => one.class),
      ['A'],
    );
    at = 200_000;
    assert.deepEqual(jobs.list(), []);
  });
});
