import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Job } from '../../../lib/job/job';
import { InvalidRequestError } from '../../../lib/job/sets/query';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';
import { store, storeDead } from './stored-job';

let release: (() => void) | undefined;

class HeldUpJob extends Job<[name: string]> {
  static override concurrency = 1;
  static override tags = ['slow'];

  async perform(_name: string): Promise<void> {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  }
}

describe('finding a job', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system));
  });

  const placeOf = async (id: string) => (await sets.find(id)).place;

  it('follows it from the outbox through its queue and its run to its end, and when it is held', async () => {
    const [{ id }, { id: second }] = await transaction(
      async () => [await HeldUpJob.performLater('a'), await HeldUpJob.performLater('b')] as const,
    );
    const { place, entry, ahead } = await sets.find(id);
    // The job is committed, and not yet copied to Redis.
    assert.deepEqual([place, entry?.class, entry?.args, ahead], ['waiting', 'HeldUpJob', ['a'], undefined]);
    assert.deepEqual(entry?.tags, ['slow']);
    await system.processor([HeldUpJob]);
    await until('the first job is running', async () => (await placeOf(id)) === 'active');
    await until('the second job is held', async () => (await placeOf(second)) === 'blocked');
    await until('the first job has begun', () => release !== undefined);
    release?.();
    await until('the first job has ended', async () => (await placeOf(id)) === 'gone');
    await until('the second job is running', async () => (await placeOf(second)) === 'active');
    release?.();
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  });

  it('says how many jobs are ahead of it', async () => {
    const { client } = system.redis;
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    for (const id of ids) await store(client, 'waiting', { id });
    const ahead = await Promise.all(ids.map(async (id) => (await sets.find(id)).ahead));
    assert.deepEqual(ahead, [0, 1, 2]);
  });

  it('shows an unreadable record as it is', async () => {
    const { client } = system.redis;
    const broken = await storeDead(system.database.knex, { text: 'no JSON' });
    const { entry } = await sets.find(broken);
    assert.deepEqual([entry?.unreadable, entry?.raw, entry?.class], ['the record is not JSON', 'no JSON', undefined]);
    const foreign = await store(client, 'delayed', { text: '{"data":{"x":1},"options":{},"status":"created"}' });
    const found = await sets.find(foreign);
    assert.deepEqual([found.place, found.entry?.unreadable], ['scheduled', 'the record names no job class']);
    await storeDead(system.database.knex, { id: 'ghost', text: undefined, at: 5 });
    const ghost = await sets.find('ghost');
    assert.deepEqual(
      [ghost.entry?.unreadable, ghost.entry?.raw, ghost.entry?.at?.getTime()],
      ['the job has no record', undefined, 5],
    );
    // A job without a record can be deleted, but not queued.
    assert.deepEqual(
      [await isMoved(sets.dead.retryMany({ ids: ['ghost'] })), await isMoved(sets.dead.deleteMany({ ids: ['ghost'] }))],
      [false, true],
    );
    assert.deepEqual([await isMoved(sets.dead.retryMany({ ids: [broken] })), await placeOf(broken)], [true, 'waiting']);
  });

  it('limits times that are too late, and leaves out an id that Postgres cannot store', async () => {
    const { client } = system.redis;
    await storeDead(system.database.knex, { id: 'late', at: 9e15, timestamp: -1 });
    await store(client, 'delayed', { id: 'later', at: 9e15 });
    await store(client, 'delayed', { id: 'never', at: Number.POSITIVE_INFINITY, timestamp: 5 });
    await store(client, 'delayed', { id: 'a\0b', at: 1 });
    assert.equal((await sets.find('late')).entry?.at?.toISOString(), '9999-12-01T00:00:00.000Z');
    const scheduled = (await sets.scheduled.page()).entries.map(({ id, at }) => [id, at?.getTime()]);
    assert.deepEqual(scheduled, [
      ['later', 1_700_000_000_000],
      ['never', 5],
    ]);
  });

  it('needs the queue if several jobs have its id', async () => {
    for (const queue of ['default', 'mailer']) await storeDead(system.database.knex, { id: '1', queue });
    const message = /job 1 is in several queues \(default, mailer\): say which one is meant/;
    await assert.rejects(sets.find('1'), message);
    await assert.rejects(isMoved(sets.dead.deleteMany({ ids: ['1'] })), message);
    await assert.rejects(sets.dead.deleteMany({ ids: ['1'] }), message);
    assert.equal((await sets.find({ id: '1', queue: 'mailer' })).entry?.queue, 'mailer');
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: [{ id: '1', queue: 'mailer' }] })), true);
    assert.equal((await sets.find('1')).entry?.queue, 'default');
    assert.equal((await sets.find({ id: '1', queue: 'mailer' })).place, 'gone');
  });

  it('finds it in a queue that is given or that its row names, even if that queue is unknown', async () => {
    const id = await storeDead(system.database.knex, { queue: 'other' });
    assert.equal(await placeOf(id), 'dead');
    assert.equal((await sets.find({ id, queue: 'other' })).place, 'dead');
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: [{ id, queue: 'other' }] })), true);
    const { id: rows } = await HeldUpJob.set({ wait: '1h', queue: 'other' }).performLater('a');
    assert.equal(await placeOf(rows), 'scheduled');
    assert.equal((await sets.find({ id: rows, queue: 'default' })).place, 'gone');
    assert.deepEqual(
      [
        await isMoved(sets.scheduled.deleteMany({ ids: [{ id: rows, queue: 'default' }] })),
        await isMoved(sets.scheduled.deleteMany({ ids: [rows] })),
      ],
      [false, true],
    );
  });

  it('rejects an invalid id', async () => {
    for (const id of ['', 'a b', 'x'.repeat(201), 'ä', 7 as never, undefined as never]) {
      await assert.rejects(
        sets.find(id),
        (error) => error instanceof InvalidRequestError && /the job id is .*; give one such as/.test(error.message),
      );
      await assert.rejects(isMoved(sets.dead.retryMany({ ids: [id] })), InvalidRequestError);
      await assert.rejects(sets.scheduled.deleteMany({ ids: [id] }), InvalidRequestError);
      await assert.rejects(sets.waiting('default').delete(id), InvalidRequestError);
    }
    await assert.rejects(sets.find({ id: 'a', queue: 'b c' }), /the queue is "b c"/);
    for (const at of [new Date(Number.NaN), 'tomorrow' as never]) {
      await assert.rejects(isMoved(sets.retry.rescheduleMany({ ids: ['a'] }, at)), /the time is .*; give a valid date/);
      await assert.rejects(sets.scheduled.rescheduleMany({ filter: {} }, at), InvalidRequestError);
    }
  });

  it('lets a waiting job be deleted once, with its row', async () => {
    await transaction(() => HeldUpJob.performLater('a'));
    const processor = await system.processor([]);
    processor.quiet();
    const waiting = sets.waiting('default');
    const [entry] = await until('the job is queued', async () => {
      const { entries } = await waiting.page();
      return entries.length > 0 && entries;
    });
    assert.ok(entry?.at && Math.abs(entry.at.getTime() - Date.now()) < 60_000);
    assert.deepEqual([await waiting.delete(entry.id), await waiting.delete(entry.id)], [true, false]);
    assert.equal(await placeOf(entry.id), 'gone');
    assert.equal(await system.outboxSize(), 0);
    assert.deepEqual(system.eventsNamed('operator.jobs'), [
      { action: 'delete', set: 'waiting', count: 1, via: 'cli:test' },
    ]);
  });
});
