import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { DelayingProxy } from '../../support/delaying-proxy';
import { until } from '../../support/until';
import { LongJob, startDoomedProcessor } from '../doomed-processor';
import { JobSystem } from '../job-system';

/** Long enough that the test can freeze the process between Postgres's reply and its own next step. */
const DELAY_MS = 400;
const ran: string[] = [];

class NotedJob extends Job<[name: string]> {
  static override jobName = 'LongJob';

  perform(name: string): void {
    ran.push(name);
  }
}

/** The relay is in a process of its own, which is stopped in the middle of its transaction. */
describe('a relay that is frozen after it has claimed rows', () => {
  let system: JobSystem;
  let proxy: DelayingProxy;
  before(async () => {
    system = await JobSystem.start();
    proxy = new DelayingProxy(Number(new URL(system.postgres.url).port), DELAY_MS);
  });
  after(async () => {
    await proxy.stop();
    await system.stop();
  });

  const sessions = (state: string) =>
    system.postgres.query(
      `select pid from pg_stat_activity where datname = current_database() and state = '${state}' and query like '%job_outbox%'`,
    );
  const dispatched = async () => {
    const [row] = await system.postgres.query<{ n: number }>(
      'select count(*)::int as n from job_outbox where dispatched_at is not null',
    );
    return row?.n ?? -1;
  };

  it('loses them to another after ten seconds, and dispatches none of them when it goes on', async () => {
    const slow = new URL(system.postgres.url);
    slow.port = String(await proxy.start());
    // Until it is frozen, the child is the only relay and the only processor.
    const child = startDoomedProcessor({ database: slow.href, redis: system.redisServer.url }, 'frozen');
    const said: string[] = [];
    child.on('message', (name: string) => said.push(name));
    try {
      await until('the child listens', async () => (await system.postgres.query(LISTENERS)).length > 0);
      await transaction(() => LongJob.performLater('the first shows that it relays'));
      await until('the child runs the first job', async () => said.length === 1 && (await dispatched()) === 1);
      await transaction(async () => {
        for (const name of ['a', 'b', 'c']) await LongJob.performLater(name);
      });
      await until('the child has claimed the rows', async () => (await sessions('idle in transaction')).length > 0, {
        everyMs: 10,
      });
      child.kill('SIGSTOP');
      assert.equal(await dispatched(), 1, 'its transaction has not ended');
      const begun = performance.now();
      await system.processor([NotedJob], { tuning: { stallInterval: 600_000 } });
      await until('the other processor has run them', () => ran.length === 3);
      assert.ok(performance.now() - begun < 20_000, `after ${performance.now() - begun} ms`);
      await until('their rows are gone', async () => (await system.outboxSize()) === 1);
      // As if Redis had forgotten their ends, so that it would not prevent another dispatch.
      for (const key of ['ended', 'tombstones']) await system.redis.client.del(`bq:default:${key}`);
      child.kill('SIGCONT');
      await transaction(() => LongJob.performLater('the last'));
      await until('the last has run', () => ran.length + said.length >= 5);
      assert.deepEqual([...ran, ...said].sort(), ['a', 'b', 'c', 'the first shows that it relays', 'the last']);
      assert.equal(await system.redis.client.lLen('bq:default:waiting'), 0);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

const LISTENERS = `select pid from pg_stat_activity where datname = current_database() and query like 'LISTEN%'`;
