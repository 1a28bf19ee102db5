import assert from 'node:assert/strict';
import { Reconciler } from '../../../lib/job/outbox/reconciler';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const LEASE = 'catamount:reconciled-run:lease';
const HOUR = 3_600_000;

/** Several trees whose Redis may have lost its data, all at once. */
describe('of several reconcilers', () => {
  let system: JobSystem;
  const gate = new Gate();
  const reconcilers: Reconciler[] = [];
  /** By reconciler: the beginnings of whole comparisons, the looks at whether one is due, the questions to Postgres. */
  const begun: number[] = [];
  const looks: number[] = [];
  const asked: number[] = [];
  let leader = 0;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(async () => {
    gate.close();
    await system.redis.client.flushAll();
    for (const counts of [begun, looks, asked]) counts.length = 0;
    leader = 0;
  });
  afterEach(async () => {
    gate.open();
    for (const { task } of reconcilers.splice(0)) await task.stop();
  });

  const start = () => {
    const n = reconcilers.length;
    [begun[n], looks[n], asked[n]] = [0, 0, 0];
    const reconciler = new Reconciler({
      knex: system.database.knex,
      redis: system.redis.client,
      isRunning: () => false,
      leads: () => n === leader,
      isIdle: () => {
        looks[n] = (looks[n] ?? 0) + 1;
        return false;
      },
      mayDispatch: async () => {
        asked[n] = (asked[n] ?? 0) + 1;
        return true;
      },
      onNewRun: async () => {
        begun[n] = (begun[n] ?? 0) + 1;
        await gate.pass();
      },
      onEmptied: () => undefined,
      onLost: () => undefined,
      onRestored: () => undefined,
      queues: [],
      onError: (error) => assert.fail(error),
      tuning: { compareMs: 5, routineMs: HOUR },
    });
    reconcilers.push(reconciler);
    reconciler.task.start();
  };
  const hasLooked = (n: number) => {
    const since = looks[n] ?? 0;
    return until('it has looked again', () => (looks[n] ?? 0) > since + 2);
  };

  it('one compares at a time, and the others need not when it has', async () => {
    start();
    await until('the first compares', () => begun[0] === 1);
    for (const n of [1, 2]) {
      start();
      await hasLooked(n);
    }
    assert.deepEqual(begun, [1, 0, 0]);
    gate.open();
    await until('Redis is compared', () => system.redis.client.exists('catamount:reconciled-run'));
    for (const n of [1, 2]) await hasLooked(n);
    assert.deepEqual(begun, [2, 0, 0], 'twice by the first, as a relay may have been between its dispatch and COMMIT');
  });

  it('only that of the tree that leads asks Postgres whose jobs these are, once Redis has been compared', async () => {
    gate.open();
    for (let n = 0; n < 3; n++) start();
    await until('Redis is compared', () => system.redis.client.exists('catamount:reconciled-run'));
    for (const next of [0, 2]) {
      leader = next;
      for (const n of [0, 1, 2]) await hasLooked(n);
      const before = [...asked];
      for (const n of [0, 1, 2]) await hasLooked(n);
      const more = asked.map((count, n) => count > (before[n] ?? 0));
      assert.deepEqual(more, [next === 0, false, next === 2]);
    }
  });

  it('another compares when the one that does has said nothing until its lease ends', async () => {
    start();
    await until('the first compares', () => begun[0] === 1);
    start();
    await hasLooked(1);
    const leaseMs = await system.redis.client.pTTL(LEASE);
    assert.ok(leaseMs > 0 && leaseMs <= 10_000, `${leaseMs} ms`);
    // As its time would.
    await system.redis.client.pExpire(LEASE, 1);
    await until('the second compares', () => begun[1] === 1);
  });
});
