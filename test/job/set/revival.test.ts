import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { KillJob } from '../../../lib/job/perform/verdict';
import { buryUnknown } from '../../../lib/job/set/bury-script';
import { JobSets } from '../../../lib/job/set/job-sets';
import { insertRevivedRows } from '../../../lib/job/set/revived-rows';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';
import { setSources } from './set-sources';
import { recordText, store } from './stored-job';

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
  let system: JobSystem;
  let sets: JobSets;
  before(async () => {
    system = await JobSystem.start();
    sets = new JobSets(setSources(system));
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    mood = 'work';
    ran.length = 0;
  });

  const outboxIsEmpty = () => until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  const emptied = async () => {
    await system.redis.client.flushAll();
    assert.equal(await system.redis.client.dbSize(), 0);
  };
  const processor = () => system.processor([MoodyJob]);

  /** Enqueues one and has it run once, in this mood. */
  async function runOnce(its: typeof mood): Promise<string> {
    mood = its;
    const one = await processor();
    const { id } = await MoodyJob.performLater('a');
    const place = its === 'die' ? 'dead' : 'retry';
    await until(`it is in the ${place} set`, async () => (await sets.find(id)).place === place);
    await system.stopProcessors();
    void one;
    mood = 'work';
    ran.length = 0;
    return id;
  }

  it('outlive a Redis that is emptied, once they are retried', async () => {
    const id = await runOnce('die');
    await outboxIsEmpty();
    assert.equal(await sets.dead.retry(id), true);
    await emptied();
    await processor();
    await until('it has run', () => ran.length === 1);
    await outboxIsEmpty();
    assert.equal((await sets.find(id)).place, 'unknown');
  });

  it('leave no row when they die again, and none when they are deleted', async () => {
    const id = await runOnce('die');
    mood = 'die';
    await processor();
    await sets.dead.retry(id);
    await until('it is dead again', () => ran.length === 1);
    await until('it is dead again', async () => (await sets.find(id)).place === 'dead');
    await outboxIsEmpty();
    await sets.dead.delete(id);
    assert.deepEqual(await system.redis.client.hKeys('bq:default:jobs'), []);
  });

  it('are not brought back by the row of a retry that never came to its move', async () => {
    const id = await store(system.redis.client, 'dead', { class: 'MoodyJob', args: ['a'], at: Date.now() });
    const dead = {
      id,
      queue: 'default',
      score: 0,
      text: recordText({ class: 'MoodyJob' }),
      sha: '',
      progress: undefined,
    };
    assert.deepEqual(await insertRevivedRows(system.database.knex, [dead]), new Set([id]));
    assert.equal(await sets.dead.delete(id), true);
    assert.equal(await system.outboxSize(), 0);
    // Nor where the move comes after it was deleted: what it leaves behind has the settler delete the row.
    await insertRevivedRows(system.database.knex, [dead]);
    await system.redis.client.zAdd('bq:default:finished', { score: Date.now(), value: id });
    await processor();
    await outboxIsEmpty();
    assert.deepEqual([ran, system.eventsNamed('outbox.redispatched')], [[], []]);
  });

  it('keep the row of a running life when a second retry comes too late', async () => {
    const id = await runOnce('die');
    await Promise.all([sets.dead.retry(id), sets.dead.retry(id)]);
    assert.equal(await sets.dead.retry(id), false);
    assert.equal(await system.outboxSize(), 1);
    assert.deepEqual(await system.redis.client.zRange('bq:default:finished', 0, -1), []);
  });

  it('are dead once although the row was left behind when they were killed', async () => {
    const { id } = await MoodyJob.set({ wait: '1h' }).performLater('a');
    assert.deepEqual(await buryUnknown(system.redis.client, [{ id, queue: 'default', record: recordText({}) }]), [
      'buried',
    ]);
    assert.deepEqual(await buryUnknown(system.redis.client, [{ id, queue: 'default', record: recordText({}) }]), [
      'ended',
    ]);
    await processor();
    await outboxIsEmpty();
    assert.deepEqual([ran, await sets.dead.count()], [[], 1]);
  });

  it('are dead after a kill, even if Redis forgets them', async () => {
    const id = await runOnce('fail');
    assert.equal(await sets.retry.kill(id), true);
    assert.equal(await system.outboxSize(), 0);
    await emptied();
    await processor();
    await MoodyJob.performLater('b');
    await until('another has run', () => ran.length > 0);
    assert.deepEqual(ran, ['b']);
  });

  it('run at once when their retry is brought forward, with a processor that had planned it for later', async () => {
    const id = await runOnce('fail');
    await processor();
    const hour = Date.now() + 3_600_000;
    const [entry] = (await sets.retry.page()).entries;
    assert.ok(Math.abs((entry?.at?.getTime() ?? 0) - hour) < 60_000);
    assert.equal(await sets.retry.reschedule(id, new Date()), true);
    await until('it has run', () => ran.length === 1);
    await until('it has ended', async () => (await sets.find(id)).place === 'unknown');
  });

  it('run at once when they are scheduled and an operator will not wait', async () => {
    await processor();
    const { id } = await MoodyJob.set({ wait: '1h' }).performLater('a');
    const { id: other } = await MoodyJob.set({ wait: '2h' }).performLater('b');
    assert.equal((await sets.find(id)).place, 'scheduled');
    assert.equal(await sets.scheduled.run(id), true);
    await until('it has run', () => ran.length === 1);
    assert.equal(await sets.scheduled.run(id), false);
    assert.equal(await sets.scheduled.reschedule(other, new Date(Date.now() + 20)), true);
    await until('the other has run', () => ran.length === 2);
    await outboxIsEmpty();
  });

  it('let a unique job be enqueued again once it is deleted or killed', async () => {
    class OnlyJob extends MoodyJob {
      static override unique = true as const;
    }
    const one = await OnlyJob.set({ wait: '1h' }).performLater('a');
    assert.equal((await OnlyJob.set({ wait: '1h' }).performLater('a')).enqueued, false);
    assert.equal(await sets.scheduled.delete(one.id), true);
    const two = await OnlyJob.set({ wait: '1h' }).performLater('a');
    assert.equal(two.enqueued, true);
    assert.equal(await sets.scheduled.kill(two.id), true);
    assert.equal((await OnlyJob.set({ wait: '1h' }).performLater('a')).enqueued, true);
  });
});
