import assert from 'node:assert/strict';
import { Client } from 'pg';
import { TABLES } from '../../../lib/core/config';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { DispatchService, type DispatchTuning } from '../../../lib/job/dispatch/dispatch-service';
import { Gate } from '../../../lib/job/dispatch/gate';
import { Leadership } from '../../../lib/job/dispatch/leadership';
import { Hints } from '../../../lib/job/hint/hints';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

const HOUR = 3_600_000;

describe('the leader of several dispatchers', () => {
  let now = 0;
  let isNotified = true;
  const dispatcher = (id: string, random = 0) =>
    new Leadership({ id, isNotified: () => isNotified, graceMs: 100, now: () => now, random: () => random });
  beforeEach(() => {
    now = 0;
    isNotified = true;
  });

  it('is unknown at first, so that all of them look, and then the one that has looked last', () => {
    const [one, other] = [dispatcher('one'), dispatcher('other')];
    assert.deepEqual([one.waitMs, other.waitMs], [0, 0]);
    for (const each of [one, other]) each.heard('one 60000');
    assert.deepEqual([one.leads, one.isLeader, other.leads, other.isLeader], [true, true, false, false]);
    for (const each of [one, other]) each.noticed();
    assert.deepEqual([one.waitMs, other.waitMs], [0, 100]);
  });

  it('is replaced when it does not respond to what is new within the grace period', () => {
    const other = dispatcher('other');
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

  it('is waited for until it looks, where it looks only later', () => {
    const other = dispatcher('other');
    other.heard('one 60000');
    other.noticed(2000);
    assert.equal(other.waitMs, 2100);
    other.noticed();
    assert.equal(other.waitMs, 100);
  });

  it('is waited for after it has responded, until the time of its next look', () => {
    const other = dispatcher('other', 1);
    other.heard('one 60000');
    other.noticed();
    other.heard('one 3000');
    assert.equal(other.waitMs, 3150, 'the grace period differs from one to the other');
    now = 3150;
    assert.equal(other.waitMs, 0);
  });

  it('is replaced after the grace period even if it says that its own look is late', () => {
    const other = dispatcher('other');
    other.heard('one -60000');
    assert.equal(other.waitMs, 100, 'without a grace period all would take turns without a pause');
  });

  it('is unknown again when it resigns, when messages may have been missed, and while nothing is heard', () => {
    const other = dispatcher('other');
    other.heard('one 60000');
    other.heard('');
    assert.ok(other.leads);
    other.heard('one 60000');
    other.forget();
    assert.ok(other.leads);
    other.heard('one 60000');
    assert.ok(!other.leads);
    isNotified = false;
    assert.ok(other.leads);
  });
});

describe('the dispatchers of three trees', () => {
  interface Tree {
    readonly database: Database;
    readonly redis: Redis;
    readonly service: DispatchService;
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
  afterEach(async () => {
    for (const { service, redis, database } of trees.splice(0)) {
      await service.stop(Deadline.after(30_000));
      await redis.stop(Deadline.after(30_000));
      await database.stop(Deadline.after(30_000));
    }
    await postgres.query('truncate job_queue');
  });

  const start = async (tuning: DispatchTuning = {}) => {
    const events = new Events();
    const database = new Database(postgres.url, { production: false, events });
    const statements: string[] = [];
    database.knex.on('query', ({ sql }: { sql: string }) => statements.push(sql));
    const redis = new Redis(server.url, events);
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    const { knex } = database;
    const service = new DispatchService({
      database,
      redis,
      hints: new Hints(redis.client),
      gate: new Gate({ knex, onCopy: () => assert.fail('it is no copy') }),
      limits: new Map(),
      events,
      production: false,
      identity: `tree-${trees.length}`,
      onMayBeReady: () => undefined,
      onPrioritised: () => undefined,
      onCronNotice: () => undefined,
      onCancelNotice: () => undefined,
      onRescued: () => undefined,
      onClockJump: () => undefined,
      tuning,
    });
    trees.push({ database, redis, service, statements });
    service.start();
    await until('notifications arrive', () => service.listening === true);
    await until('it has looked, or has heard of a leader', () => hasLooked({ statements }) || !service.leads);
  };
  /** The last statement of a look is its message to the others. */
  const hasLooked = ({ statements }: Pick<Tree, 'statements'>) => statements.at(-1)?.includes('pg_notify') ?? false;
  /** A scheduled job that is due, and a notification of it. */
  const enqueue = async () => {
    await postgres.query(
      `insert into job_queue (id, state, queue, class, payload, run_at)
       values (gen_random_uuid(), 'scheduled', 'default', 'AnyJob', '{"class":"AnyJob"}', now())`,
    );
    await postgres.query(`select pg_notify('${TABLES.channel}', 'look')`);
  };
  const ready = (count: number) =>
    until('the jobs are ready', async () => {
      const [row] = await postgres.query<{ n: number }>(
        `select count(*)::int as n from job_queue where state = 'ready'`,
      );
      return row?.n === count;
    });
  const led = () => until('one leads', () => trees.filter(({ service }) => service.leads).length === 1);

  it('look more and more rarely while nothing comes, and as before when something has come', async () => {
    const told: number[] = [];
    const listener = new Client({ connectionString: postgres.url });
    await listener.connect();
    try {
      listener.on('notification', ({ payload = '' }) => told.push(Number(payload.split(' ')[1])));
      await listener.query(`LISTEN ${TABLES.leaderChannel}`);
      await start({ graceMs: 50 });
      await enqueue();
      await until('the dispatcher looks more rarely', () => told.at(-1) === 3000);
      await enqueue();
      await until('it looks as before', () => told.at(-1) === 1000);
      await until('the dispatcher looks more rarely again', () => told.at(-1) === 3000);
      told.length = 0;
      await postgres.query(`select pg_notify('${TABLES.channel}', 'look'), pg_notify('${TABLES.channel}', 'pauses')`);
      await until('it has looked for each of two notifications that came together', () => told.length >= 2);
      assert.deepEqual(told.slice(0, 2), [1000, 1000]);
    } finally {
      await listener.end();
    }
  });

  it('send no statement to Postgres while another leads, however many jobs come', async () => {
    for (let n = 0; n < 4; n++) await start({ graceMs: HOUR });
    // Each may have begun to look once, before it heard of a leader, and leads from then on.
    await until('their first looks have ended', () =>
      trees.every(
        (tree) => tree.service.progress.read().owedMs === 0 && (tree.statements.length === 0 || hasLooked(tree)),
      ),
    );
    // Whoever answers has heard by then who has looked last.
    await enqueue();
    await ready(1);
    await led();
    const others = trees.filter(({ service }) => !service.leads);
    const before = others.map(({ statements }) => statements.length);
    for (let n = 0; n < 10; n++) {
      await enqueue();
      await ready(n + 2);
    }
    assert.deepEqual(
      others.map(({ statements }, index) => statements.slice(before[index])),
      [[], [], []],
    );
  });

  it('do not wait for the grace period when the leader stops, since it resigns', async () => {
    for (let n = 0; n < 3; n++) await start({ graceMs: HOUR });
    await enqueue();
    await ready(1);
    await led();
    const leader = trees.find(({ service }) => service.leads);
    await leader?.service.stop(Deadline.after(30_000));
    await enqueue();
    await ready(2);
  });

  it('go on without a leader that cannot work, and with another one at once when it stops', async () => {
    for (let n = 0; n < 3; n++) await start({ graceMs: 50 });
    await enqueue();
    await ready(1);
    await led();
    const leader = trees.find(({ service }) => service.leads);
    assert.ok(leader);
    // Like a frozen leader it does nothing and keeps its connections, since the test takes its whole pool.
    const taken = await Promise.all([1, 2, 3].map(() => leader.database.knex.transaction()));
    await enqueue();
    await ready(2);
    await until('another leads', () => !leader.service.leads);
    await Promise.all(taken.map((trx) => trx.rollback()));
    const [survivor, ...others] = trees;
    for (const { service } of others) await service.stop(Deadline.after(30_000));
    await until('the last one leads', () => survivor?.service.leads);
    await enqueue();
    await ready(3);
  });
});
