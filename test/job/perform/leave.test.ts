import assert from 'node:assert/strict';
import { NewerFormatError, NotHereError, UnknownJobError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { JobsLeft } from '../../../lib/job/perform/leave';
import { findJob } from '../../../lib/job/sets/find-job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const ran: unknown[] = [];

class NewJob extends Job<[word: string]> {
  static override retry = { limit: 1 };

  perform(word: string): void {
    ran.push([word, this.context.attempt, this.context.deliveries]);
    if (word === 'fails' && this.context.attempt === 1) throw new Error('once');
  }
}

/** A clock so far behind that whatever is due later is due at once. */
const AT_ONCE = { now: () => Date.now() - 1e12 };

describe('a job that only another release can run', () => {
  const system = useJobSystem(() => {
    ran.length = 0;
  });
  const left = (times: number) => until('the job is left', () => system.eventsNamed('job.left').length >= times);
  const record = async (id: string) => JSON.parse((await system.redis.client.hGet('bq:default:jobs', id)) ?? 'null');
  const none = (name: 'job.retrying' | 'job.dead') => assert.deepEqual(system.eventsNamed(name), []);

  it('is left, however often, until a processor has its class, and no attempt is counted', async () => {
    const old = await system.processor([], { tuning: AT_ONCE });
    const { id } = await transaction(() => NewJob.performLater('first'));
    await left(30);
    const { options, status } = await record(id);
    assert.deepEqual([options.attempts, options.stacktraces, status], [undefined, [], 'created']);
    assert.equal(await system.jobCount(), 1, 'its row lives on');
    const [told] = old.left;
    assert.deepEqual([told?.class, told?.reason], ['NewJob', 'there is no job class NewJob in this app']);
    const levels = system.eventsNamed('job.left').map(({ again }) => again);
    assert.deepEqual([...new Set(levels.slice(1)), levels[0]], [true, false], 'the log warns once a minute');
    await system.processor([NewJob]);
    await until('the newer processor has run it', () => ran.length === 1);
    assert.deepEqual(ran, [['first', 1, 1]]);
    none('job.retrying');
    none('job.dead');
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('keeps the count of its deliveries that ended without an outcome', async () => {
    const { client } = system.redis;
    const { id } = await transaction(() => NewJob.performLater('fails'));
    const newer = await system.processor([NewJob], { tuning: AT_ONCE });
    await until('the job has run twice', () => ran.length === 2);
    newer.quiet();
    const again = await NewJob.performLater('has killed two');
    await client.hSet('bq:default:deliveries', again.id, '2:');
    await system.processor([], { tuning: { now: () => Date.now() + 3_600_000 } });
    await left(1);
    await until('the second job waits', async () => (await client.zScore('bq:default:delayed', again.id)) !== null);
    assert.equal(
      await client.hGet('bq:default:deliveries', again.id),
      '2:',
      'a job that kills its process keeps its count',
    );
    assert.equal(await record(id), null);
  });

  it('is left unchanged when its format is newer, with its unknown fields', async () => {
    const { client } = system.redis;
    const text =
      '{"data":{"v":2,"class":"NewJob","args":{"word":"by name"},"via":"outbox"},"options":{"timestamp":1,"fresh":{"a":[]}},"status":"created","progress":0}'.replace(
        '"timestamp":1',
        `"timestamp":${Date.now()}`,
      );
    await client.hSet('bq:default:jobs', 'newer', text);
    await client.lPush('bq:default:waiting', 'newer');
    const old = await system.processor([NewJob], { tuning: AT_ONCE });
    await left(3);
    assert.equal(await client.hGet('bq:default:jobs', 'newer'), text);
    assert.match(old.left[0]?.reason ?? '', /^NewJob was enqueued in format 2 by a newer release; this one knows 1$/);
    assert.deepEqual(ran, []);
    none('job.dead');
    const sources = { redis: client, knex: system.database.knex, queues: ['default'] };
    assert.equal((await findJob(sources, 'newer')).entry?.class, 'NewJob');
  });

  it('runs when a known format has additional fields', async () => {
    const { client } = system.redis;
    const text = `{"data":{"v":1,"class":"NewJob","args":["word"],"fresh":{"x":1}},"options":{"timestamp":${Date.now()},"fresh":[]},"status":"created","progress":0}`;
    await client.hSet('bq:default:jobs', 'same', text);
    await client.lPush('bq:default:waiting', 'same');
    await system.processor([NewJob]);
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(ran, [['word', 1, 1]]);
  });

  it('is stored completely when it has died in a newer release', async () => {
    const { client } = system.redis;
    const data = { v: 2, class: 'NewJob', args: ['word'], fresh: { x: 1 } };
    const options = { timestamp: 5, attempts: 2, reason: 'no more', fresh: 7 };
    await client.hSet('bq:default:jobs', 'dead', JSON.stringify({ data, options, status: 'failed', progress: 0 }));
    await client.zAdd('bq:default:dead', { score: Date.now(), value: 'dead' });
    await system.processor([]);
    const rows = () =>
      system.postgres.query<{ class: string; payload: string; options: string }>(
        `select class, payload, options from job_dead where id = 'dead'`,
      );
    const [row] = await until('the job is dead', async () => ((await rows()).length === 1 ? await rows() : undefined));
    assert.equal(row?.class, 'NewJob');
    assert.deepEqual([JSON.parse(row.payload), JSON.parse(row.options)], [data, options]);
  });
});

describe('jobs that are left', () => {
  const DAY = 24 * 3600 * 1000;
  const error = new UnknownJobError('there is none');

  it('wait a tenth of their age, at least a second and at most a quarter of an hour, and fail after 21 days', () => {
    const waits = (age: number) => new JobsLeft(() => 0.5).decide('A', error, age)?.waitMs;
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
    const again = (name: string) => jobs.decide(name, error, 0)?.again;
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

  it('are listed and logged for at most 100 classes', () => {
    const jobs = new JobsLeft();
    const again = Array.from({ length: 200 }, (_, n) => jobs.decide(`Job${n}`, error, 0)?.again);
    assert.equal(jobs.list().length, 100);
    assert.equal(again.filter((told) => told === false).length, 100);
  });

  it('have errors that are NotHereErrors', () => {
    assert.ok(new NewerFormatError('A', 3, 1) instanceof NotHereError && error instanceof NotHereError);
  });
});
