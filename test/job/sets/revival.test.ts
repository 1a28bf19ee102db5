import assert from 'node:assert/strict';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';

const ran: string[] = [];
let mood: 'die' | 'fail' | 'work' = 'work';

class MoodyJob extends Job<[name: string]> {
  static override retryIn = () => '1h' as const;

  perform(name: string): void {
    ran.push(name);
    if (mood === 'die') throw new KillJob(`no ${name}`);
    if (mood === 'fail') throw new Error(`not now, ${name}`);
  }
}

describe('jobs that an operator moves', () => {
  let sets: Sets;
  const system = useJobSystem(() => {
    mood = 'work';
    ran.length = 0;
  });
  before(() => {
    sets = setsOf(setSources(system));
  });

  const outboxIsEmpty = () => until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  const emptied = async () => {
    await system.redis.client.flushAll();
    assert.equal(await system.redis.client.dbSize(), 0);
  };
  const processor = () => system.processor([MoodyJob]);

  /** Enqueues a job and lets it run once, in this mood. */
  async function runOnce(its: typeof mood): Promise<string> {
    mood = its;
    await processor();
    const { id } = await MoodyJob.performLater('a');
    const place = its === 'die' ? 'dead' : 'retry';
    await until(`it is in the ${place} set`, async () => (await sets.find(id)).place === place);
    await system.stopProcessors();
    mood = 'work';
    ran.length = 0;
    return id;
  }

  it('survive an emptied Redis once they are retried', async () => {
    const id = await runOnce('die');
    await outboxIsEmpty();
    assert.equal(await isMoved(sets.dead.retryMany({ ids: [id] })), true);
    await emptied();
    await processor();
    await until('the job has run', () => ran.length === 1);
    await outboxIsEmpty();
    assert.equal((await sets.find(id)).place, 'gone');
  });

  it('leave no row when they die again, and none when they are deleted', async () => {
    const id = await runOnce('die');
    mood = 'die';
    await processor();
    await isMoved(sets.dead.retryMany({ ids: [id] }));
    await until('the job has run again', () => ran.length === 1);
    await until('the job is dead again', async () => (await sets.find(id)).place === 'dead');
    await outboxIsEmpty();
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: [id] })), true);
    await until('Redis has nothing of it', async () => (await system.redis.client.exists('bq:default:jobs')) === 0);
  });

  it('keep the row of the first retry when a second one comes too late', async () => {
    const id = await runOnce('die');
    await Promise.all([isMoved(sets.dead.retryMany({ ids: [id] })), isMoved(sets.dead.retryMany({ ids: [id] }))]);
    assert.equal(await isMoved(sets.dead.retryMany({ ids: [id] })), false);
    assert.equal(await system.outboxSize(), 1);
  });

  it('stay scheduled when Postgres fails during a kill, and are dead once after another kill', async () => {
    const { id } = await MoodyJob.set({ wait: '1h' }).performLater('a');
    await system.postgres.query(`create function refuse() returns trigger language plpgsql as
      'begin raise exception ''no deletes today''; end'`);
    await system.postgres.query(
      'create trigger refuse before delete on job_outbox for each row execute function refuse()',
    );
    try {
      await assert.rejects(isMoved(sets.scheduled.killMany({ ids: [id] })), /no deletes today/);
    } finally {
      await system.postgres.query('drop function refuse cascade');
    }
    assert.deepEqual([await system.outboxSize(), await sets.dead.count()], [1, 0]);
    await isMoved(sets.scheduled.killMany({ ids: [id] }));
    await processor();
    await outboxIsEmpty();
    assert.deepEqual([ran, await sets.dead.count()], [[], 1]);
  });

  it('do not run after a kill, even if Redis is emptied', async () => {
    const id = await runOnce('fail');
    assert.equal(await isMoved(sets.retry.killMany({ ids: [id] })), true);
    assert.equal(await system.outboxSize(), 0);
    await emptied();
    await processor();
    await MoodyJob.performLater('b');
    await until('another job has run', () => ran.length > 0);
    assert.deepEqual(ran, ['b']);
  });

  it('run at once when their retry is rescheduled to now, although a processor waits for a later time', async () => {
    const id = await runOnce('fail');
    await processor();
    assert.equal(await isMoved(sets.retry.rescheduleMany({ ids: [id] }, new Date())), true);
    await until('the job has run', () => ran.length === 1);
    await until('the job has ended', async () => (await sets.find(id)).place === 'gone');
  });

  it('run at once when they are promoted, and at their new time when they are rescheduled', async () => {
    await processor();
    const { id } = await MoodyJob.set({ wait: '1h' }).performLater('a');
    const { id: other } = await MoodyJob.set({ wait: '2h' }).performLater('b');
    assert.equal((await sets.find(id)).place, 'scheduled');
    assert.equal(await isMoved(sets.scheduled.promoteMany({ ids: [id] })), true);
    await until('the job has run', () => ran.length === 1);
    assert.equal(await isMoved(sets.scheduled.promoteMany({ ids: [id] })), false);
    assert.equal(await isMoved(sets.scheduled.rescheduleMany({ ids: [other] }, new Date(Date.now() + 20))), true);
    await until('the other job has run', () => ran.length === 2);
    await outboxIsEmpty();
  });

  it('let a unique job be enqueued again once it is deleted or killed', async () => {
    class OnlyJob extends MoodyJob {
      static override readonly unique = { ttl: '2h' } as const;
    }
    const one = await OnlyJob.set({ wait: '1h' }).performLater('a');
    assert.equal((await OnlyJob.set({ wait: '1h' }).performLater('a')).enqueued, false);
    const claim = () => system.postgres.query('select (unique_until - run_at)::text as lasts from job_outbox');
    const before = await claim();
    assert.ok(before[0]?.lasts, 'the claim expires');
    assert.equal(
      await isMoved(sets.scheduled.rescheduleMany({ ids: [one.id] }, new Date(Date.now() + 864_000_000))),
      true,
    );
    assert.deepEqual(await claim(), before, 'it lasts longer by as much as the job waits');
    assert.equal(await isMoved(sets.scheduled.deleteMany({ ids: [one.id] })), true);
    const two = await OnlyJob.set({ wait: '1h' }).performLater('a');
    assert.equal(two.enqueued, true);
    assert.equal(await isMoved(sets.scheduled.killMany({ ids: [two.id] })), true);
    assert.equal((await OnlyJob.set({ wait: '1h' }).performLater('a')).enqueued, true);
  });
});
