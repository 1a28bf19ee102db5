import assert from 'node:assert/strict';
import { Client } from 'pg';
import { TABLES } from '../../../lib/core/config';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Leadership } from '../../../lib/job/outbox/leadership';
import { OutboxService, type OutboxTuning } from '../../../lib/job/outbox/service';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/async';
import { DelayingProxy } from '../../support/delaying-proxy';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

const HOUR = 3_600_000;

describe('the leader of several relays', () => {
  let now = 0;
  let hears = true;
  const relay = (id: string, random = 0) =>
    new Leadership({ id, hears: () => hears, graceMs: 100, now: () => now, random: () => random });
  beforeEach(() => {
    now = 0;
    hears = true;
  });

  it('is unknown at first, so that all of them look, and then the one that has looked last', () => {
    const [one, other] = [relay('one'), relay('other')];
    assert.deepEqual([one.waitMs, other.waitMs], [0, 0]);
    for (const each of [one, other]) each.heard('one 60000');
    assert.deepEqual([one.leads, one.isLeader, other.leads, other.isLeader], [true, true, false, false]);
    for (const each of [one, other]) each.noticed();
    assert.deepEqual([one.waitMs, other.waitMs], [0, 100]);
  });

  it('is replaced when it does not respond to new rows within the grace period', () => {
    const other = relay('other');
    other.heard('one 60000');
    now = 5000;
    other.noticed();
    now = 5050;
    other.noticed();
    assert.equal(other.waitMs, 50, 'counted from the first');
    now = 5100;
    assert.equal(other.waitMs, 0);
    other.heard('other 1000');
    assert.ok(other.isLeader);
  });

  it('is waited for after it has responded, until the time of its next look', () => {
    const other = relay('other', 1);
    other.heard('one 60000');
    other.noticed();
    other.heard('one 3000');
    assert.equal(other.waitMs, 3150, 'the grace period differs from relay to relay');
    now = 3150;
    assert.equal(other.waitMs, 0);
  });

  it('is replaced after the grace period even if it says that its own look is late', () => {
    const other = relay('other');
    other.heard('one -60000');
    assert.equal(other.waitMs, 100, 'without a grace period all relays would take turns without a pause');
  });

  it('is unknown again when it resigns, when messages may have been missed, and while nothing is heard', () => {
    const other = relay('other');
    other.heard('one 60000');
    other.heard('');
    assert.ok(other.leads);
    other.heard('one 60000');
    other.forget();
    assert.ok(other.leads);
    other.heard('one 60000');
    assert.ok(!other.leads);
    hears = false;
    assert.ok(other.leads);
  });
});

describe('the relays of three trees', () => {
  interface Tree {
    readonly database: Database;
    readonly redis: Redis;
    readonly outbox: OutboxService;
    readonly statements: string[];
  }
  let postgres: TestDatabase;
  let server: TestRedis;
  const trees: Tree[] = [];
  before(async () => {
    postgres = await createDatabase({ migrated: ['lib/job/migrations'] });
    server = await startTestRedis();
  });
  after(async () => {
    await server.remove();
    await postgres.drop();
  });
  const stopAll = async () => {
    for (const { outbox, redis, database } of trees.splice(0)) {
      await outbox.stop(Deadline.after(30_000));
      await redis.stop(Deadline.after(30_000));
      await database.stop(Deadline.after(30_000));
    }
  };
  afterEach(async () => {
    await stopAll();
    await postgres.query('truncate job_outbox');
  });

  const start = async (tuning: OutboxTuning = {}, redisUrl = server.url) => {
    const events = new Events();
    const database = new Database(postgres.url, { production: false, events });
    const statements: string[] = [];
    database.knex.on('query', ({ sql }: { sql: string }) => statements.push(sql));
    const redis = new Redis(redisUrl, events);
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    const outbox = new OutboxService({
      database,
      redis,
      events,
      production: false,
      queues: [],
      isRunning: () => false,
      tuning,
    });
    const tree = { database, redis, outbox, statements };
    trees.push(tree);
    outbox.start();
    await until('the relay hears notifications', () => outbox.listening === true);
    return tree;
  };
  const claims = ({ statements }: Tree) =>
    statements.filter((sql) => sql.includes('update job_outbox set dispatched_at')).length;
  const enqueue = async () => {
    await postgres.query(
      `insert into job_outbox (id, queue, class, payload) values
       (gen_random_uuid(), 'unserved', 'AnyJob', '{"v":1,"class":"AnyJob","args":[],"via":"outbox"}')`,
    );
    await postgres.query(`select pg_notify('${TABLES.channel}', '')`);
  };
  const dispatched = (count: number) =>
    until('the rows are dispatched', async () => {
      const [row] = await postgres.query<{ n: number }>(
        'select count(*)::int as n from job_outbox where dispatched_at is not null',
      );
      return row?.n === count;
    });
  const led = () => until('one relay leads', () => trees.filter(({ outbox }) => outbox.leads).length === 1);

  it('poll Postgres more and more rarely while nothing comes, and as before when something has come', async () => {
    const told: number[] = [];
    const listener = new Client({ connectionString: postgres.url });
    await listener.connect();
    try {
      listener.on('notification', ({ payload = '' }) => told.push(Number(payload.split(' ')[1])));
      await listener.query(`LISTEN ${TABLES.relayChannel}`);
      await start({ graceMs: 50 });
      await enqueue();
      await until('the relay polls more rarely', () => told.at(-1) === 3000);
      await enqueue();
      await until('the relay polls as before', () => told.at(-1) === 1000);
    } finally {
      await listener.end();
    }
  });

  it('leave the claims to one of them', async () => {
    for (let n = 0; n < 3; n++) await start({ graceMs: HOUR });
    await enqueue();
    await dispatched(1);
    await led();
    const before = trees.map(claims);
    for (let n = 0; n < 10; n++) {
      await enqueue();
      await dispatched(n + 2);
    }
    const after = trees.map((tree, index) => claims(tree) - (before[index] ?? 0));
    assert.deepEqual(after.filter((count) => count > 0).length, 1, `claims by tree: ${after.join()}`);
  });

  it('send no statement to Postgres while another leads, however many rows come', async () => {
    for (let n = 0; n < 4; n++) await start({ graceMs: HOUR, compareMs: 20 });
    let rows = 0;
    const relay = async () => {
      await enqueue();
      await dispatched(++rows);
    };
    const sent = (tree?: Tree) => tree?.statements.length ?? Number.NaN;
    await until('one relays, Redis has been compared, and what the start asks is over', async () => {
      const counts = trees.map(sent);
      await relay();
      const isCompared = await trees[0]?.redis.client.exists('catamount:reconciled-run');
      return isCompared && trees.filter((tree, index) => sent(tree) > (counts[index] ?? 0)).length === 1;
    });
    await led();
    const leader = trees.find(({ outbox }) => outbox.leads);
    const others = trees.filter((tree) => tree !== leader);
    const asked = () => leader?.statements.filter((sql) => sql.startsWith('select id::text from job_inst')).length ?? 0;
    const [before, askedBefore] = [others.map(sent), asked()];
    // The leader asks again when its answer is two seconds old. By then each of the others would, too.
    await until('the leader has asked twice whose jobs they are', async () => {
      await relay();
      return asked() >= askedBefore + 2;
    });
    assert.deepEqual(
      others.map(({ statements }, index) => statements.slice(before[index])),
      others.map(() => []),
    );
  });

  it('dispatch together while the leader is behind, and one of them alone when it is not', async () => {
    // Each batch takes a round trip to Redis, which is made as long as the grace period.
    const ways = [0, 1].map(() => new DelayingProxy(Number(new URL(server.url).port), 0));
    try {
      for (const way of ways) {
        const long = new URL(server.url);
        long.port = String(await way.start());
        await start({ graceMs: 200 }, long.href);
      }
      // Either of them may have looked last.
      await led();
      const first = trees.findIndex(({ outbox }) => outbox.leads);
      const [way, second] = [ways[first], trees[1 - first]];
      assert.ok(way && second);
      const before = claims(second);
      way.delayMs = 200;
      await postgres.query(
        `insert into job_outbox (id, queue, class, payload)
         select gen_random_uuid(), 'unserved', 'AnyJob', '{"v":1,"class":"AnyJob","args":[],"via":"outbox"}'
         from generate_series(1, 4000)`,
      );
      await enqueue();
      await dispatched(4001);
      assert.ok(claims(second) > before + 1, 'the second relay has taken more than one batch');
      way.delayMs = 0;
      let rows = 4001;
      await until('a lone row is claimed by one relay', async () => {
        await led();
        const counts = trees.map(claims);
        await enqueue();
        await dispatched(++rows);
        return trees.filter((tree, index) => claims(tree) > (counts[index] ?? 0)).length === 1;
      });
    } finally {
      await stopAll();
      for (const way of ways) await way.stop();
    }
  });

  it('do not wait for the grace period when the leader stops, since it resigns', async () => {
    for (let n = 0; n < 3; n++) await start({ graceMs: HOUR });
    await enqueue();
    await led();
    const leader = trees.find(({ outbox }) => outbox.leads);
    await leader?.outbox.stop(Deadline.after(30_000));
    await enqueue();
    await dispatched(2);
  });

  it('go on without a leader that cannot work, and with another one at once when it stops', async () => {
    for (let n = 0; n < 3; n++) await start({ graceMs: 50 });
    await enqueue();
    await dispatched(1);
    await led();
    const leader = trees.find(({ outbox }) => outbox.leads);
    assert.ok(leader);
    // Like a frozen leader it does nothing and keeps its connections, since the test takes its whole pool.
    const taken = await Promise.all([1, 2, 3].map(() => leader.database.knex.transaction()));
    await enqueue();
    await dispatched(2);
    await until('another leads', () => !leader.outbox.leads);
    await Promise.all(taken.map((trx) => trx.rollback()));
    const [survivor, ...others] = trees;
    for (const { outbox } of others) await outbox.stop(Deadline.after(30_000));
    await until('the last relay leads', () => survivor?.outbox.leads);
    await enqueue();
    await dispatched(3);
  });
});
