import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { readQueues } from '../../../lib/job/queue/queue-status';
import { newRecord } from '../../../lib/job/record/record';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const HOUR = 3_600_000;

const gate = new Gate();
const ran: string[] = [];

class HeldJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    ran.push(name);
    await gate.pass();
  }
}

describe('a job that was written to the outbox because Redis did not answer, and reached Redis all the same', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(async () => {
    gate.open();
    await system.stop();
  });

  it('runs once, although Redis has forgotten its end when its row is compared', async () => {
    gate.close();
    // The process fell back to Postgres and is gone; what it had sent to Redis arrives only now.
    const { id } = await transaction(() => HeldJob.performLater('twin'));
    const [row] = await system.postgres.query<{ payload: string }>('select payload from job_outbox where id = $1', [
      id,
    ]);
    const record = newRecord(String(row?.payload).replace('"via":"outbox"', '"via":"redis"'), Date.now());
    const late = { id, queue: 'default', record };
    assert.deepEqual(await dispatch(system.redis.client, [late], { notAfter: Date.now() + HOUR }), ['queued']);
    // With very many dispatched rows, comparing them takes longer than a minute: here this row is not reached at all.
    await system.processor([HeldJob], { tuning: { outbox: { pollMs: 20, routineMs: HOUR } } });
    await until('the job is running', () => gate.held === 1);
    const dispatched = 'select 1 from job_outbox where dispatched_at is not null';
    await until('its row is dispatched', async () => (await system.postgres.query(dispatched)).length === 1);
    gate.open();
    const ended = () => system.redis.client.hLen('bq:default:jobs').then((count) => count === 0);
    await until('the job has ended', ended);
    await system.redis.client.del('bq:default:tombstones');
    await system.processor([HeldJob], { tuning: { outbox: { pollMs: 20, routineMs: 20, sweepMs: 20 } } });
    await until('its row is gone', async () => (await system.outboxSize()) === 0);
    await HeldJob.performLater('behind');
    await until('a later job has run', () => ran.includes('behind'));
    assert.deepEqual(ran, ['twin', 'behind']);
    assert.deepEqual(await system.redis.client.keys('bq:*:twins'), []);
  });

  it('loses its row once Redis says that it has the job, which may wait there for longer than an end is remembered', async () => {
    await system.stopProcessors();
    system.redisServer.pause();
    await HeldJob.performLater('waiting');
    assert.equal(await system.outboxSize(), 1);
    system.redisServer.resume();
    await until('its row is gone', async () => (await system.outboxSize()) === 0);
    // The job counts as waiting even if it was offered to a processor whose disconnect the frozen Redis had not read yet.
    assert.equal((await readQueues(system.redis.client, ['default']))[0]?.waiting, 1);
  });
});
