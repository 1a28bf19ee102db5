import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import type { OutboxTuning } from '../../../lib/job/outbox/service';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const HOUR = 3_600_000;
/** A queue that no processor serves, so that its jobs stay where they are. */
const UNSERVED = 'unserved';
const COMPARED = 'catamount:reconciled-run';

const gate = new Gate();
let ran = 0;

class HeldJob extends Job {
  static override durable = true;
  async perform(): Promise<void> {
    ran++;
    await gate.pass();
  }
}

describe('a job that Redis has lost', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(async () => {
    gate.close();
    await system.reset();
    ran = 0;
  });

  const start = (outbox: OutboxTuning) => system.processor([HeldJob], { tuning: { outbox } });
  const onQueue = () => system.redis.client.lLen(`bq:${UNSERVED}:waiting`);
  const offeredAgain = () => system.eventsNamed('outbox.redispatched').reduce((total, { count }) => total + count, 0);
  const isCompared = () => until('Redis is compared', () => system.redis.client.exists(COMPARED));
  const insert = async (count: number, dispatchedAt: 'null' | 'now()' = 'null') => {
    const rows = await system.postgres.query<{ id: string }>(
      `insert into job_outbox (id, queue, class, payload, dispatched_at)
       select gen_random_uuid(), $1, 'HeldJob', '{"v":1,"class":"HeldJob","args":[],"via":"outbox"}', ${dispatchedAt}
       from generate_series(1, $2) returning id`,
      [UNSERVED, count],
    );
    return rows.map(({ id }) => id);
  };

  it('is dispatched again when all data of Redis is lost, unless it runs here', async () => {
    await start({ compareMs: 20, routineMs: HOUR, page: 2 });
    await HeldJob.performLater();
    await insert(25);
    await until('one job runs, the others wait', async () => gate.held === 1 && (await onQueue()) === 25);
    await isCompared();
    assert.deepEqual(system.eventsNamed('redis.emptied'), [], 'a new Redis is not reported as emptied');
    await system.redis.client.flushAll();
    await isCompared();
    assert.equal(system.eventsNamed('redis.emptied').length, 1);
    await until('the others wait again', async () => (await onQueue()) === 25);
    assert.equal(offeredAgain(), 25);
    gate.open();
    await until('the row of the job that ran is gone', async () => (await system.outboxSize()) === 25);
    assert.equal(ran, 1);
  });

  it('is looked for twice, since a relay may be between Redis and COMMIT the first time', async () => {
    await insert(1, 'now()');
    const [inHand = ''] = await insert(1);
    const relay = await system.database.knex.transaction();
    await relay.raw('update job_outbox set dispatched_at = clock_timestamp() where id = ?', [inHand]);
    await start({ compareMs: HOUR, routineMs: HOUR });
    await until('the other job is dispatched again', () => offeredAgain() === 1);
    await relay.commit();
    system.events.emit('redis.ready', {});
    await isCompared();
    assert.equal(offeredAgain(), 2);
  });

  it('is looked for twice again when Redis is emptied between the two comparisons', async () => {
    await insert(1, 'now()');
    const [inHand = ''] = await insert(1);
    const relay = await system.database.knex.transaction();
    await relay.raw('update job_outbox set dispatched_at = clock_timestamp() where id = ?', [inHand]);
    await start({ compareMs: HOUR, routineMs: HOUR });
    // The relay must have committed, too: otherwise the row would not count as dispatched in the next comparison.
    const dispatched = 'select id from job_outbox where dispatched_at is not null';
    await until('the other job is on its queue again', async () => {
      const rows = await system.postgres.query(dispatched);
      return offeredAgain() === 1 && (await onQueue()) === 1 && rows.length === 1;
    });
    await system.redis.client.flushAll();
    system.events.emit('redis.ready', {});
    await until('the job is dispatched once more', () => offeredAgain() === 2);
    await relay.commit();
    system.events.emit('redis.ready', {});
    await isCompared();
    assert.equal(offeredAgain(), 3);
  });

  it('is found, too, when Redis was not restarted, wherever its row is', async () => {
    await start({ compareMs: 20, routineMs: 0, page: 2 });
    await insert(25);
    await until('the jobs wait', async () => (await onQueue()) === 25);
    await isCompared();
    const [last] = await system.postgres.query<{ id: string }>(
      'select id from job_outbox order by dispatched_at desc, id desc limit 1',
    );
    const { client } = system.redis;
    const lose = client.multi().hDel(`bq:${UNSERVED}:jobs`, last?.id ?? '');
    await lose.lRem(`bq:${UNSERVED}:waiting`, 1, last?.id ?? '').exec();
    await until('all jobs wait again', async () => (await onQueue()) === 25);
    assert.equal(offeredAgain(), 1);
  });
});
