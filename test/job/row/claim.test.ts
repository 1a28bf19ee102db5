import assert from 'node:assert/strict';
import type { Limits } from '../../../lib/job/definition/limits';
import { type Choice, claim, releaseUnknown } from '../../../lib/job/row/claim';
import { type Outcome, recordOutcomes } from '../../../lib/job/row/end';
import { insertJobs } from '../../../lib/job/row/insert';
import { readInstallation } from '../../../lib/job/row/installation';
import type { Delivery } from '../../../lib/job/row/job-row';
import { admit, claimLimited } from '../../../lib/job/row/limited';
import { pauseQueue, resumeQueue } from '../../../lib/job/row/pauses';
import { makeDueReady } from '../../../lib/job/row/ready';
import { rescue, showLife } from '../../../lib/job/row/rescue';
import { timeOrderedUuid } from '../../../lib/support/uuid';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const ONE = { count: 1, gapMs: null, burst: 0, key: undefined };
const LIMITS: Limits = new Map([['OneJob', ONE]]);
const admitted = async (...given: Parameters<typeof admit>) => (await admit(...given)).jobs;
const AGAIN: Outcome = { op: 'retry', history: '{}', error: 'Error', messages: 'no', attempts: 1, waitMs: 0 };

describe('the rows of jobs', () => {
  let origin = '';
  const system = useJobSystem();
  before(async () => {
    origin = (await readInstallation(system.database.knex)).here;
  });

  const enqueue = async (count: number, { queue = 'default', name = 'AnyJob', limited = false } = {}) => {
    const rows = Array.from({ length: count }, () => ({
      id: timeOrderedUuid(),
      queue,
      class: name,
      payload: JSON.stringify({ class: name }),
      tags: [],
      runAt: undefined,
      limitKey: limited ? name : undefined,
    }));
    await insertJobs(system.database.knex, rows);
    const ids = rows.map(({ id }) => id);
    // As if they had been admitted.
    if (limited) await system.database.knex('job_queue').whereIn('id', ids).update({ state: 'ready' });
    return ids;
  };
  /** Number of entries of the indexes of jobs, and of rows in scans of their table, that `work` reads. */
  const entriesRead = async (work: () => Promise<void>) => {
    const count = async () => {
      await system.database.knex.raw('select pg_stat_force_next_flush()');
      const [row] = await system.postgres.query<{ read: number }>(
        `select ((select sum(idx_tup_read) from pg_stat_user_indexes where indexrelname like 'job_queue_%')
           + (select seq_tup_read from pg_stat_user_tables where relname = 'job_queue'))::int as read`,
      );
      return row?.read ?? Number.NaN;
    };
    const before = await count();
    await work();
    return (await count()) - before;
  };
  const claimAs = (identity: string, choice: Choice) => claim(system.database.knex, { identity, origin }, choice);
  const ids = (deliveries: readonly Delivery[]) => deliveries.map(({ id }) => id);
  const end = async (identity: string, delivery: Delivery, outcome: Outcome = { op: 'delete' }) =>
    (await recordOutcomes(system.database.knex, identity, [{ delivery, outcome }])).applied.size === 1;
  const states = async () => {
    const rows = await system.postgres.query<{ state: string; deliveries: number }>(
      'select state, deliveries from job_queue order by run_at',
    );
    return rows.map(({ state, deliveries }) => `${state} ${deliveries}`);
  };

  it('are claimed once, by ids or by a scan, in their order', async () => {
    const all = await enqueue(4);
    const [first = '', second = ''] = all;
    assert.deepEqual(ids(await claimAs('a', { ids: [second, first, second] })), [first, second]);
    assert.deepEqual(ids(await claimAs('b', { ids: all })), all.slice(2));
    assert.deepEqual(await claimAs('c', { queues: ['default'], limit: 9 }), []);
  });

  it('leave their sessions as durable as they were, so that what jobs commit waits for the disk', async () => {
    await claimAs('a', { ids: await enqueue(1) });
    const source = `select source from pg_settings, pg_sleep(0.05) where name = 'synchronous_commit'`;
    const sources = await Promise.all(Array.from({ length: 9 }, () => system.database.knex.raw(source)));
    for (const { rows } of sources) assert.notEqual(rows[0].source, 'session');
  });

  it('are looked up by their ids, however many others wait, also before Postgres has statistics of them', async () => {
    const { knex } = system.database;
    const few = [...(await enqueue(8)), ...(await enqueue(8, { name: 'OneJob', limited: true }))];
    for (let n = 0; n < 4; n++) await enqueue(1000);
    const read = await entriesRead(async () => {
      assert.equal((await claimAs('a', { ids: few })).length, 8);
      assert.equal((await claimLimited(knex, { identity: 'a', origin }, { ids: few }, LIMITS)).claimed.length, 1);
    });
    assert(read < 1000, `${read} entries were read`);
  });

  it('are admitted by their ids, also by statistics of a queue in which most are held', async () => {
    const { knex } = system.database;
    await system.postgres.query(
      `insert into job_queue (queue, class, limit_key, payload, state)
       select 'default', 'OneJob', 'OneJob', '{"class":"OneJob"}', 'held' from generate_series(1, 40000)`,
    );
    await knex.raw('analyze job_queue');
    const read = await entriesRead(async () => {
      const [first] = await admitted(knex, LIMITS, ['OneJob']);
      const choice = { ids: [first?.id ?? ''] };
      assert.equal((await claimLimited(knex, { identity: 'a', origin }, choice, LIMITS)).claimed.length, 1);
    });
    assert(read < 1000, `${read} entries were read`);
  });

  it('are ended by their ids, also by statistics of a queue in which nothing ran', async () => {
    const { knex } = system.database;
    const all = await enqueue(512);
    for (let n = 0; n < 40; n++) await enqueue(1000);
    await knex.raw('analyze job_queue');
    const deliveries = await claimAs('a', { ids: all });
    const plans: string[] = [];
    const explained = knex.withUserParams({});
    explained.on('query', ({ sql, bindings }: { sql: string; bindings: readonly unknown[] }) => {
      if (sql.startsWith('delete')) plans.push(JSON.stringify([sql, bindings]));
    });
    const endings = deliveries.map((delivery) => ({ delivery, outcome: { op: 'delete' } as const }));
    assert.equal((await recordOutcomes(explained, 'a', endings)).applied.size, 512);
    const [sql, bindings] = JSON.parse(plans[0] ?? '') as [string, unknown[]];
    const rows = await system.postgres.query<{ 'QUERY PLAN': string }>(`explain ${sql}`, bindings);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    assert.doesNotMatch(plan, /Join Filter.*ended.id/, plan);
  });

  it('are found by a scan queue by queue, in the order of the queues', async () => {
    const later = await enqueue(2, { queue: 'default' });
    const earlier = await enqueue(2, { queue: 'mailer' });
    const found = await claimAs('a', { queues: ['mailer', 'default', 'none'], limit: 3 });
    assert.deepEqual(ids(found).sort(), [...earlier, later[0] ?? ''].sort());
  });

  it('are passed over by a scan while another one holds them', async () => {
    const all = await enqueue(4);
    const choice = { queues: ['default'], limit: 2 };
    const trx = await system.database.knex.transaction();
    try {
      await trx.raw(`set local idle_in_transaction_session_timeout = '5s'`);
      assert.deepEqual(ids(await claim(trx, { identity: 'a', origin }, choice)), all.slice(0, 2));
      assert.deepEqual(ids(await claimAs('b', choice)), all.slice(2));
    } finally {
      await trx.rollback();
    }
  });

  it('are not claimed while their queue is paused', async () => {
    const all = await enqueue(1);
    await pauseQueue(system.database.knex, 'default', 'test');
    assert.deepEqual(await claimAs('a', { ids: all }), []);
    assert.deepEqual(await claimAs('a', { queues: ['default'], limit: 1 }), []);
    await resumeQueue(system.database.knex, 'default');
    assert.deepEqual(ids(await claimAs('a', { ids: all })), all);
  });

  it('are not claimed by a process that takes this database for another', async () => {
    const all = await enqueue(1);
    const elsewhere = { identity: 'a', origin: 'elsewhere' };
    assert.deepEqual(await claim(system.database.knex, elsewhere, { ids: all }), []);
    assert.deepEqual(await claim(system.database.knex, elsewhere, { queues: ['default'], limit: 1 }), []);
  });

  it('are ended by the delivery that holds them, and by no other', async () => {
    const [id = ''] = await enqueue(1);
    const [first] = await claimAs('frozen', { ids: [id] });
    assert.ok(first);
    assert.deepEqual(
      (await rescue(system.database.knex, { identity: 'frozen' })).map((job) => [job.id, job.identity]),
      [[id, 'frozen']],
    );
    assert.equal(await end('frozen', first), false, 'nobody holds it');
    const [second] = await claimAs('frozen', { ids: [id] });
    assert.ok(second);
    assert.equal(second.deliveries, 2, 'the lost delivery is counted');
    assert.equal(await end('frozen', first), false, 'the same process holds it anew');
    assert.equal(await end('other', second), false);
    assert.equal(await end('frozen', second), true);
    assert.equal(await system.jobCount(), 0);
  });

  it('that were returned, and that the same process has claimed again, are not ended by an outcome that is sent twice', async () => {
    const [id = ''] = await enqueue(1);
    for (const outcome of [{ op: 'return' }, AGAIN] as const) {
      const [first] = await claimAs('a', { ids: [id] });
      assert.ok(first);
      assert.equal(await end('a', first, outcome), true);
      await makeDueReady(system.database.knex);
      const [second] = await claimAs('a', { ids: [id] });
      assert.ok(second);
      assert.equal(await end('a', first, outcome), false, `the reply to its ${outcome.op} was lost`);
      assert.equal(await end('a', second, { op: 'return' }), true);
    }
  });

  it('go where their outcome says', async () => {
    const outcomes: Outcome[] = [
      { op: 'delete' },
      { op: 'return' },
      { op: 'return-counted' },
      { ...AGAIN, waitMs: 60_000 },
      { op: 'leave', waitMs: 60_000 },
      { op: 'dead', job: { id: '', history: '{}', error: 'Error', attempts: 1, messages: 'no' } },
    ];
    const ids = await enqueue(outcomes.length);
    await system.postgres.query('update job_queue set deliveries = 1');
    const found = await claimAs('a', { ids });
    const endings = found.map((delivery, index) => {
      const outcome = outcomes[index] ?? assert.fail();
      return {
        delivery,
        outcome: outcome.op === 'dead' ? { ...outcome, job: { ...outcome.job, id: delivery.id } } : outcome,
      };
    });
    assert.equal((await recordOutcomes(system.database.knex, 'a', endings)).applied.size, outcomes.length);
    assert.deepEqual((await states()).sort(), ['ready 1', 'ready 2', 'scheduled 0', 'scheduled 1']);
    assert.equal((await system.deadIds()).length, 1);
    assert.equal(
      (await recordOutcomes(system.database.knex, 'a', endings)).applied.size,
      0,
      'sent again, they are void',
    );
  });

  it('are known to be recorded although the statement for others of the same turn has failed', async () => {
    const [done, dead] = await claimAs('a', { ids: await enqueue(2) });
    assert.ok(done && dead);
    const unreadable = { id: dead.id, history: 'no JSON', error: 'Error', attempts: 1, messages: '' };
    const endings = [
      { delivery: done, outcome: { op: 'delete' } },
      { delivery: dead, outcome: { op: 'dead', job: unreadable } },
    ] as const;
    const { applied, unrecorded, error } = await recordOutcomes(system.database.knex, 'a', endings);
    assert.deepEqual([[...applied], unrecorded], [[done.id], [endings[1]]]);
    assert.match(String(error), /invalid input syntax for type json/);
  });

  it('keep the time since which they could run when they are left, and then returned, until they fail', async () => {
    const [id = ''] = await enqueue(1);
    const readyAt: number[] = [];
    for (const outcome of [{ op: 'leave', waitMs: 0 }, { op: 'return' }, AGAIN, { op: 'delete' }] as const) {
      await makeDueReady(system.database.knex);
      const [delivery] = await claimAs('a', { ids: [id] });
      assert.ok(delivery);
      readyAt.push(delivery.readyAt);
      assert.equal(await end('a', delivery, outcome), true);
    }
    const [first = 0, left, returned, failed = 0] = readyAt;
    assert.deepEqual([left, returned], [first, first]);
    assert.ok(failed > first, 'it could run since it was to be retried');
  });

  it('return to the head of their queue', async () => {
    const all = await enqueue(3);
    const [first] = await claimAs('a', { ids: all.slice(0, 1) });
    assert.ok(first);
    await end('a', first, { op: 'return' });
    assert.deepEqual(ids(await claimAs('b', { queues: ['default'], limit: 1 })), all.slice(0, 1));
  });

  it('whose claim was lost with its reply are returned, and those that run, here or elsewhere, are not', async () => {
    const [first = '', second = '', third = ''] = await enqueue(3);
    await claimAs('a', { ids: [first, second] });
    await claimAs('b', { ids: [third] });
    await releaseUnknown(system.database.knex, 'a', [second]);
    assert.deepEqual(await states(), ['ready 0', 'running 1', 'running 1']);
  });

  it('whose claim was lost with its reply are returned later if an open transaction has locked them', async () => {
    const all = await enqueue(2);
    const { knex } = system.database;
    await claimAs('a', { ids: all });
    await knex.transaction(async (trx) => {
      await trx.raw('select from job_queue where id = ? for update', all.slice(0, 1));
      assert.deepEqual(await releaseUnknown(knex, 'a', []), { cancelled: [], isMore: true });
      assert.deepEqual(await states(), ['running 1', 'ready 0']);
    });
    assert.deepEqual(await releaseUnknown(knex, 'a', []), { cancelled: [], isMore: false });
    assert.deepEqual(await states(), ['ready 0', 'ready 0']);
  });

  describe('of a dead processor', () => {
    const outdate = () => system.postgres.query(`update job_queue set claimed_at = claimed_at - interval '1 minute'`);

    it('are rescued once it has been silent for so long, unless it shows that it lives', async () => {
      const [first = '', second = ''] = await enqueue(2);
      await claimAs('silent', { ids: [first] });
      await claimAs('living', { ids: [second] });
      assert.deepEqual(await rescue(system.database.knex, { silentMs: 30_000 }), [], 'they were claimed just now');
      await outdate();
      await showLife(system.database.knex, 'living');
      const found = await rescue(system.database.knex, { silentMs: 30_000 });
      assert.deepEqual(
        found.map((job) => [job.id, job.identity]),
        [[first, 'silent']],
      );
      await system.postgres.query(`update job_processes set seen_at = seen_at - interval '1 minute'`);
      assert.equal((await rescue(system.database.knex, { silentMs: 30_000 })).length, 1);
    });
  });

  describe('that count towards a limit', () => {
    const claimLimitedAs = (identity: string, choice: Choice, limits = LIMITS) =>
      claimLimited(system.database.knex, { identity, origin }, choice, limits);

    it('are claimed up to it, over all processors, and held beyond it', async () => {
      const all = await enqueue(3, { name: 'OneJob', limited: true });
      assert.deepEqual(await claimAs('a', { ids: all }), [], 'a claim without limits passes them over');
      const [one, other] = await Promise.all(['a', 'b'].map((identity) => claimLimitedAs(identity, { ids: all })));
      assert.equal((one?.claimed.length ?? 0) + (other?.claimed.length ?? 0), 1);
      assert.deepEqual((await states()).sort(), ['held 0', 'held 0', 'running 1']);
    });

    it('are counted by one processor at a time, each for the jobs that it has found', async () => {
      const [first = '', second = ''] = await enqueue(2, { name: 'OneJob', limited: true });
      const { knex } = system.database;
      const trx = await knex.transaction();
      await claimLimited(trx, { identity: 'a', origin }, { ids: [first] }, LIMITS);
      let ended = false;
      const other = claimLimitedAs('b', { ids: [second] }).finally(() => {
        ended = true;
      });
      await until('the other waits for the count', async () => {
        const { rows } = await knex.raw(`select 1 from pg_locks where locktype = 'advisory' and not granted`);
        return ended || rows.length > 0;
      });
      await trx.commit();
      const { claimed, held } = await other;
      assert.deepEqual([ids(claimed), ids(held)], [[], [second]]);
      assert.deepEqual(await states(), ['running 1', 'held 0']);
    });

    it('are admitted in their order when the limit is free', async () => {
      const all = await enqueue(3, { name: 'OneJob', limited: true });
      const { claimed, held } = await claimLimitedAs('a', { queues: ['default'], limit: 3 });
      assert.deepEqual([ids(claimed), ids(held).sort()], [all.slice(0, 1), all.slice(1).sort()]);
      assert.deepEqual(await admitted(system.database.knex, LIMITS, ['OneJob']), [], 'it is taken');
      const [first] = claimed;
      assert.ok(first);
      await end('a', first);
      assert.deepEqual(await admitted(system.database.knex, LIMITS, ['OneJob']), [
        { id: all[1], queue: 'default', isOfClass: true, priority: 0 },
      ]);
      assert.deepEqual(await admitted(system.database.knex, LIMITS, ['OneJob']), [], 'one is ready already');
    });

    it('do not overtake one that is held: it is claimed in their place', async () => {
      const [first = '', second = '', third = '', fourth = ''] = await enqueue(4, { name: 'OneJob', limited: true });
      const { claimed } = await claimLimitedAs('a', { ids: [first, second] });
      assert.ok(claimed[0]);
      await end('a', claimed[0]);
      const next = await claimLimitedAs('a', { ids: [third] });
      assert.deepEqual([ids(next.claimed), ids(next.held)], [[second], [third]]);
      const lifted = await claimLimitedAs('a', { ids: [fourth] }, new Map());
      assert.deepEqual([ids(lifted.claimed), lifted.held], [[fourth], []], 'nothing is held for a limit that is gone');
    });

    it('of one limit do not count towards another', async () => {
      const [first = ''] = await enqueue(1, { name: 'OneJob', limited: true });
      const [other = ''] = await enqueue(1, { name: 'OtherJob', limited: true });
      const limits: Limits = new Map([...LIMITS, ['OtherJob', ONE]]);
      const { claimed, held } = await claimLimitedAs('a', { ids: [first, other] }, limits);
      assert.deepEqual([ids(claimed), held], [[first, other], []]);
    });

    it('are admitted although others wait in a queue that is paused, which are not', async () => {
      const { knex } = system.database;
      const [first = '', second = ''] = await enqueue(2, { name: 'OneJob', limited: true });
      const [waiting = '', held = ''] = await enqueue(2, { name: 'OneJob', limited: true, queue: 'other' });
      const { claimed } = await claimLimitedAs('a', { ids: [first, second, held] });
      await pauseQueue(knex, 'other', 'test');
      assert.ok(claimed[0]);
      await end('a', claimed[0]);
      assert.deepEqual(await admitted(knex, LIMITS, ['OneJob']), [
        { id: second, queue: 'default', isOfClass: true, priority: 0 },
      ]);
      const [next] = (await claimLimitedAs('a', { ids: [second] })).claimed;
      assert.ok(next);
      await end('a', next);
      assert.deepEqual(await admitted(knex, LIMITS, ['OneJob']), []);
      await resumeQueue(knex, 'other');
      assert.deepEqual(ids((await claimLimitedAs('a', { ids: [waiting] })).claimed), [waiting]);
    });

    it('are claimed beside one that is held in a queue that is paused', async () => {
      const { knex } = system.database;
      const [first = ''] = await enqueue(1, { name: 'OneJob', limited: true });
      const [paused = ''] = await enqueue(1, { name: 'OneJob', limited: true, queue: 'other' });
      const [last = ''] = await enqueue(1, { name: 'OneJob', limited: true });
      const { claimed, held } = await claimLimitedAs('a', { ids: [first, paused] });
      assert.deepEqual(ids(held), [paused]);
      await pauseQueue(knex, 'other', 'test');
      assert.ok(claimed[0]);
      await end('a', claimed[0]);
      assert.deepEqual(ids((await claimLimitedAs('a', { ids: [last] })).claimed), [last]);
    });

    it('are not claimed while their queue is paused, nor by a process that takes this database for another', async () => {
      const all = await enqueue(1, { name: 'OneJob', limited: true });
      const { knex } = system.database;
      const nothing = { claimed: [], held: [], open: [] };
      const elsewhere = { identity: 'a', origin: 'elsewhere' };
      assert.deepEqual(await claimLimited(knex, elsewhere, { ids: all }, LIMITS), nothing);
      await pauseQueue(knex, 'default', 'test');
      assert.deepEqual(await claimLimitedAs('a', { ids: all }), nothing);
      await resumeQueue(knex, 'default');
      assert.equal((await claimLimitedAs('a', { ids: all })).claimed.length, 1);
    });

    it('are free again when their processor has died', async () => {
      const all = await enqueue(2, { name: 'OneJob', limited: true });
      await claimLimitedAs('dead', { ids: all });
      await rescue(system.database.knex, { identity: 'dead' });
      const { claimed } = await claimLimitedAs('a', { ids: all });
      assert.deepEqual(ids(claimed), all.slice(0, 1));
    });

    it('all run when a release has no such limit any more', async () => {
      const all = await enqueue(3, { name: 'OneJob', limited: true });
      await claimLimitedAs('a', { ids: all });
      assert.equal((await admitted(system.database.knex, new Map(), ['OneJob'])).length, 2);
      const { claimed } = await claimLimitedAs('b', { ids: all }, new Map());
      assert.equal(claimed.length, 2);
    });
  });
});
