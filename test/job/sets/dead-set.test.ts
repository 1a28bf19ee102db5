import assert from 'node:assert/strict';
import os from 'node:os';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { DeadSet } from '../../../lib/job/sets/dead-set';
import { RetrySet } from '../../../lib/job/sets/redis-set';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, setSources } from './set-sources';
import { store, storeDead } from './stored-job';

let why = 'no';

class MoodyJob extends Job<[name: string]> {
  perform(name: string): void {
    throw new KillJob(`${why} ${name}`);
  }
}

describe('the dead set', () => {
  let dead: DeadSet;
  const system = useJobSystem(() => {
    why = 'no';
  });
  before(() => {
    dead = new DeadSet(setSources(system));
  });

  const kill = async (...names: string[]) => {
    await system.processor([MoodyJob], { jobs: { concurrency: 1 } });
    const ids: string[] = [];
    for (const name of names) {
      ids.push((await MoodyJob.performLater(name)).id);
      await until(`${name} is dead`, async () => (await dead.count()) === ids.length);
    }
    return ids;
  };

  it('lists the newest first, in pages, with all their details', async () => {
    await kill('a', 'b', 'c');
    const { entries, total } = await dead.page({ limit: 1 });
    const { at, enqueuedAt, errors, id, ...rest } = entries[0] ?? assert.fail('the dead set is empty');
    assert.deepEqual(rest, {
      queue: 'default',
      set: 'dead',
      class: 'MoodyJob',
      args: ['c'],
      reason: 'no c',
      attempts: 1,
      tags: [],
      context: {},
      progress: undefined,
      unreadable: undefined,
      raw: undefined,
    });
    assert.equal(total, 3);
    assert.ok(Math.abs((at?.getTime() ?? 0) - Date.now()) < 60_000);
    assert.ok((enqueuedAt?.getTime() ?? 0) <= (at?.getTime() ?? 0));
    assert.equal(errors[0]?.message, 'KillJob: no c');
    assert.match(errors[0]?.stack ?? '', /KillJob: no c\n {4}at /);
    const { at: failedAt = 0, ms = -1, ...where } = errors[0]?.run ?? assert.fail('the error has no run');
    assert.deepEqual(where, { attempt: 1, host: os.hostname(), pid: process.pid });
    assert.ok(failedAt >= (enqueuedAt?.getTime() ?? 0) && ms >= 0);
    assert.match(id, /-/);
    const older = await dead.page({ offset: 1, limit: 5 });
    assert.deepEqual(
      older.entries.map((job) => job.args[0]),
      ['b', 'a'],
    );
    assert.deepEqual((await dead.page({ limit: 0 })).entries, []);
  });

  it('gives a retried job all its attempts anew, and finds it by either error when it is dead again', async () => {
    const [id = ''] = await kill('a');
    why = 'still no';
    await isMoved(dead.retryMany({ ids: [id] }));
    await until('the job is dead again', async () => (await dead.page()).entries[0]?.errors.length === 2);
    assert.equal((await dead.page()).entries[0]?.attempts, 1);
    const counts = ['NO A', 'still', 'never'].map((error) => dead.count({ error }));
    assert.deepEqual(await Promise.all(counts), [1, 1, 0]);
    assert.deepEqual([await dead.count({ text: 'still no a' }), await dead.count({ class: 'MoodyJob' })], [1, 1]);
  });

  it('retries all jobs, even those whose record has a time of a wrong clock', async () => {
    for (const timestamp of [Date.now() + 3_600_000, 8e15, 0]) {
      await storeDead(system.database.knex, { class: 'MoodyJob', args: ['a'], timestamp, at: Date.now() });
    }
    assert.deepEqual(await dead.retryMany({ filter: {} }), { moved: 3, complete: true });
    assert.equal(await dead.count(), 0);
  });

  it('retries all jobs, even those whose class name Postgres cannot store', async () => {
    const at = Date.now();
    for (const name of ['MoodyJob', 'Moody\0Job'])
      await storeDead(system.database.knex, { class: name, args: ['a'], at });
    assert.deepEqual(await dead.retryMany({ filter: {} }), { moved: 2, complete: true });
    assert.deepEqual([await dead.count(), await system.outboxSize()], [0, 2]);
  });

  it("keeps 10,000 jobs of each queue, for 180 days by Postgres's clock, and reports what it drops", async () => {
    const { knex } = system.database;
    const die = (id: string, queue: string, age: string, count = 1) =>
      knex.raw(
        `insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, died_at)
         select ?::text || n, ?, 'MoodyJob', '', '', 1, '{}', '', ?::text || n, now() - ?::interval - n * interval '1 s'
         from generate_series(1, ?::int) as n`,
        [id, queue, id, age, count],
      );
    await die('ancient-', 'default', '181 days', 2);
    await die('old-', 'default', '1 day', 10_001);
    await die('other-', 'mailer', '179 days');
    const now = Date.now.bind(Date);
    Date.now = () => now() + 181 * 86_400_000;
    try {
      await system.processor([]);
      await until('both drops are reported', () => system.eventsNamed('dead.dropped').length === 2);
    } finally {
      Date.now = now;
    }
    assert.deepEqual(
      [...system.eventsNamed('dead.dropped')].sort((a, b) => a.reason.localeCompare(b.reason)),
      [
        { queue: 'default', count: 2, reason: 'age' },
        { queue: 'default', count: 1, reason: 'limit' },
      ],
    );
    assert.equal(await dead.count(), 10_001);
    const gone = await dead.entries(['ancient-1', 'old-10001', 'old-10000', 'other-1'].map((id) => ({ id })));
    assert.deepEqual(
      gone.map(({ id }) => id),
      ['old-10000', 'other-1'],
    );
    // All matches are counted, and only the first ones returned.
    const found = async (text: string, offset = 0) => {
      const { entries, total } = await dead.page({ text, offset, limit: 2 });
      return [total, ...entries.map(({ id }) => id)];
    };
    assert.deepEqual(await found('OLD-'), [10_000, 'old-1', 'old-2']);
    assert.deepEqual(await found('old-', 9998), [10_000, 'old-9999', 'old-10000']);
    assert.deepEqual(await found('old-9999'), [1, 'old-9999']);
  });

  it("records the time of death by the stores' clocks, not that of the process", async () => {
    const [old = ''] = await kill('old');
    const retrying = await store(system.redis.client, 'delayed', {
      class: 'MoodyJob',
      status: 'retrying',
      errors: ['no'],
      at: Date.now(),
    });
    await system.stopProcessors();
    const now = Date.now.bind(Date);
    Date.now = () => now() + 181 * 86_400_000;
    try {
      assert.equal(await isMoved(new RetrySet(setSources(system)).killMany({ ids: [retrying] })), true);
    } finally {
      Date.now = now;
    }
    const { entries } = await dead.page({});
    assert.deepEqual(
      entries.map(({ id }) => id),
      [retrying, old],
    );
    assert.ok(entries.every(({ at }) => at && at.getTime() <= now()));
  });
});
