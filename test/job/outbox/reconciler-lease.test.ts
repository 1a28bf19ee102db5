import assert from 'node:assert/strict';
import { Reconciler } from '../../../lib/job/outbox/reconciler';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const LEASE = 'catamount:reconciled-run:lease';
const HOUR = 3_600_000;

/** The reconcilers of several trees, all of which find at the same time that Redis may have lost data. */
describe('several reconcilers', () => {
  let system: JobSystem;
  const gate = new Gate();
  const reconcilers: Reconciler[] = [];
  /** By reconciler: full comparisons that have begun, checks whether one is due, and questions to Postgres whose jobs these are. */
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
    return until('the reconciler has looked again', () => (looks[n] ?? 0) > since + 2);
  };

  it('compare one at a time, and not at all when another has', async () => {
    start();
    await until('the first begins to compare', () => begun[0] === 1);
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

  it('ask Postgres whose jobs these are only in the leading tree, once Redis has been compared', async () => {
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

  it('take over the comparison when the lease of the first expires', async () => {
    start();
    await until('the first begins to compare', () => begun[0] === 1);
    start();
    await hasLooked(1);
    const leaseMs = await system.redis.client.pTTL(LEASE);
    assert.ok(leaseMs > 0 && leaseMs <= 10_000, `${leaseMs} ms`);
    // As if its time had passed.
    await system.redis.client.pExpire(LEASE, 1);
    await until('the second begins to compare', () => begun[1] === 1);
  });
});
