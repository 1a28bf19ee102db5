import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DiscardJob, JobCancelledError, KillJob } from '../../lib/job/definition/errors';
import type { CancelOutcome } from '../../lib/job/definition/job-class';
import { Job } from '../../lib/job/job';
import { CancelWatch } from '../../lib/job/perform/cancel-watch';
import type { Run } from '../../lib/job/perform/run';
import { claim, releaseUnknown } from '../../lib/job/row/claim';
import { recordOutcomes } from '../../lib/job/row/end';
import { readInstallation } from '../../lib/job/row/installation';
import { findJob } from '../../lib/job/sets/find-job';
import { History } from '../../lib/job/stats/history';
import { transaction } from '../../lib/model/transaction';
import { dice } from '../support/dice';
import { until } from '../support/until';
import { WatchfulJob } from './child-jobs';
import { startChildProcessor } from './child-processor';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const told: unknown[] = [];
type End = 'well' | 'badly' | 'dead' | 'discarded' | 'by its signal';

/** Waits until the gate opens, and then ends as it is told, unless its signal ends it. */
class GatedJob extends Job<[end?: End]> {
  static override readonly limit = { count: 1 };
  static override unique = true as const;

  async perform(end: End = 'by its signal'): Promise<void> {
    const { signal } = this.context;
    await gate.pass(end === 'by its signal' ? signal : undefined);
    if (end === 'badly') throw new Error('as told');
    if (end === 'dead') throw new KillJob('as told');
    if (end === 'discarded') throw new DiscardJob('as told');
  }

  override afterDiscard(error: Error): void {
    told.push(error);
  }
}

/** Ends after some turns of the event loop; some heed their signal. Whatever fails without a cancel is dead. */
class BriefJob extends Job<[n: number]> {
  static override retry = { limit: 0 };

  async perform(n: number): Promise<void> {
    for (let turn = 0; turn < n; turn++) {
      await nextTurn();
      if (n % 3 > 0) this.context.signal.throwIfAborted();
    }
  }
}

class TaggedJob extends Job<[tag: string]> {
  perform(_tag: string): void {}
}

describe('a job that is cancelled', () => {
  const system = useJobSystem({ gate, empty: [told] });
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  const runs = () => until('it runs', () => gate.held === 1);
  const gone = () => until('no job is left', async () => (await system.jobCount()) === 0);
  const ended = () =>
    system.heard.map(({ name }) => name).filter((name) => /succ|retr|dead|disc|cancelled$|fenc/.test(name));
  const isHeld = async () => (await system.postgres.query(`select from job_queue where state = 'held'`)).length === 1;
  /** Claims all jobs for a process that does not run them. */
  const claimAll = async (identity: string) => {
    const { here: origin } = await readInstallation(system.database.knex);
    const choice = {
      ids: (await system.postgres.query<{ id: string }>('select id from job_queue')).map(({ id }) => id),
    };
    await system.postgres.query(`update job_queue set limit_key = null, state = replace(state, 'held', 'ready')`);
    return claim(system.database.knex, { identity, origin }, choice);
  };

  it('while it waits leaves at once, whether it is ready, scheduled or held, and its key is free', async () => {
    for (const state of ['ready', 'scheduled', 'held']) {
      const { id } = await GatedJob.performLater();
      await system.postgres.query('update job_queue set state = $1', [state]);
      assert.equal(await Job.cancel(id, { reason: state }), 'cancelled');
      assert.equal(await system.jobCount(), 0);
      assert.deepEqual(system.eventsNamed('job.cancelled').at(-1), {
        ...{ id, class: 'GatedJob', queue: 'default', reason: state, was: 'waiting' },
      });
      assert.equal((await GatedJob.performLater()).enqueued, true);
      await system.postgres.query('truncate job_queue');
      assert.equal(await Job.cancel(id), 'gone');
    }
    assert.equal((await new History(system.database.knex).totals()).all.cancelled, 3);
  });

  it('while it runs ends by its signal, in another process as well, and is neither retried nor dead', async () => {
    const said: unknown[] = [];
    const child = startChildProcessor(system.urls, { lineage: { identity: 'child', dead: [] } });
    children.push(child);
    child.on('message', (text) => said.push(text));
    const { id } = await WatchfulJob.performLater();
    await until('it runs', () => said.length === 1);
    assert.equal(await WatchfulJob.cancel(id, { reason: 'not needed' }), 'requested');
    await until('its signal is aborted', () => said.length === 2);
    assert.equal(said[1], 'WatchfulJob was cancelled: not needed');
    await gone();
    assert.deepEqual(await system.deadIds(), []);
  });

  it('while it runs frees its key and its place, tells afterDiscard and counts', async () => {
    const processor = await system.processor([GatedJob], { tuning: { infoMs: 50, cancelLookMs: 3_600_000 } });
    const { id } = await GatedJob.performLater();
    await runs();
    const { id: next } = await GatedJob.performLater('well');
    await until('the next is held', isHeld);
    assert.equal(await GatedJob.cancel(id), 'requested');
    await until('the next runs', async () => (await findJob(system.database.knex, next)).place === 'active');
    assert.ok(told[0] instanceof JobCancelledError && told[0].reason === '');
    assert.equal((await GatedJob.performLater()).enqueued, true);
    assert.deepEqual(ended(), ['job.cancelled']);
    const history = new History(system.database.knex);
    await until('it is counted', async () => (await history.totals()).all.cancelled === 1);
    assert.equal((await history.totals()).all.failed, 0);
    processor.quiet();
  });

  it('is done if its run ends without an error all the same', async () => {
    await system.processor([GatedJob]);
    const { id } = await GatedJob.performLater('well');
    await runs();
    assert.equal(await Job.cancel(id, { reason: 'first' }), 'requested');
    assert.equal(await Job.cancel(id, { reason: 'second' }), 'requested');
    const { entry } = await findJob(system.database.knex, id);
    assert.equal(entry?.cancelReason, 'first');
    gate.open();
    await gone();
    await until('it is told', () => ended().length === 1);
    assert.deepEqual(ended(), ['job.succeeded']);
  });

  it('is cancelled with whatever error its run ends, also before its process hears of the request', async () => {
    await system.processor([GatedJob]);
    for (const end of ['badly', 'dead', 'discarded'] as const) {
      gate.close();
      const { id } = await GatedJob.performLater(end);
      await runs();
      await system.postgres.query(`update job_queue set cancel_reason = $1`, [end]);
      gate.open();
      await gone();
      await until('it is told', () => system.eventsNamed('job.cancelled').at(-1)?.id === id);
      assert.equal(system.eventsNamed('job.cancelled').at(-1)?.reason, end);
    }
    assert.deepEqual(new Set(ended()), new Set(['job.cancelled']));
    assert.equal(told.length, 3);
    assert.deepEqual(await system.deadIds(), []);
  });

  it('is found where notifications do not arrive', async () => {
    const nowhere = 'postgres://127.0.0.1:1/none';
    await system.processor([GatedJob], { databaseDirectUrl: nowhere });
    const { id } = await GatedJob.performLater();
    await runs();
    await Job.cancel(id);
    await gone();
    assert.deepEqual(ended(), ['job.cancelled']);
  });

  it('is found by its process although it was asked before its run had begun', async () => {
    const { id } = await GatedJob.performLater();
    await claimAll('beginning');
    await Job.cancel(id, { reason: 'early' });
    let looks = 0;
    const executor = { runs: new Set<Run>(), cancel: () => new Set(looks++ === 0 ? [] : [id]) };
    const quiet = { isNotified: () => true, lookMs: 3_600_000, onError: assert.fail };
    const watch = new CancelWatch({ knex: system.database.knex, identity: 'beginning', executor, ...quiet });
    watch.task.start();
    watch.notice();
    await until('it is looked for again', () => looks === 2);
    await watch.task.stop();
  });

  it('does not run again when its process dies, stops, or never heard that it has claimed it', async () => {
    const { knex } = system.database;
    const { id } = await GatedJob.performLater();
    const cancel = async () => assert.equal(await Job.cancel(id, { reason: 'why' }), 'requested');

    const [delivery] = await claimAll('stopping');
    await cancel();
    assert.ok(delivery);
    const ending = { delivery, outcome: { op: 'return' } } as const;
    const { applied, cancelled } = await recordOutcomes(knex, 'stopping', [ending]);
    const row = { id, class: 'GatedJob', queue: 'default', reason: 'why' };
    assert.deepEqual([applied.size, cancelled, await system.jobCount()], [0, [row], 0]);

    const again = () =>
      system.postgres.query(
        `insert into job_queue (id, queue, class, payload) values ($1, 'default', 'GatedJob', '{"class":"GatedJob"}')`,
        [id],
      );
    await again();
    await claimAll('unheard');
    await cancel();
    assert.deepEqual(await releaseUnknown(knex, 'unheard', []), { cancelled: [row], isMore: false });
    assert.equal(await system.jobCount(), 0);

    await again();
    await claimAll('dead');
    await cancel();
    await system.processor([GatedJob], { lineage: { identity: 'living', dead: ['dead'] } });
    await gone();
    await until('it is told', () => system.eventsNamed('job.cancelled').length === 1);
    assert.deepEqual([ended(), system.eventsNamed('job.rescued')], [['job.cancelled'], []]);
  });

  it('within a transaction comes back when that is rolled back', async () => {
    const { id } = await GatedJob.performLater();
    const rolledBack = transaction(async () => {
      assert.equal(await Job.cancel(id), 'cancelled');
      assert.equal(await Job.cancel(id), 'gone');
      throw new RangeError('no');
    });
    await assert.rejects(rolledBack, RangeError);
    assert.deepEqual([await system.jobCount(), ended()], [1, []]);
    await transaction(() => Job.cancel(id));
    assert.deepEqual([await system.jobCount(), ended()], [0, ['job.cancelled']]);
  });

  it('with others of its class or its tag goes in steps, and the rest stays', async () => {
    const { knex } = system.database;
    await TaggedJob.set({ tags: ['a'] }).performAllLater(Array.from({ length: 2300 }, () => ['a'] as const));
    await TaggedJob.set({ tags: ['b'], wait: '1h' }).performLater('b');
    const { id: other } = await GatedJob.set({ tags: ['a'] }).performLater();
    const locker = await knex.transaction();
    await locker.raw(`select from job_queue where class = 'GatedJob' for update`);
    const all = Job.cancelAll({ tag: 'a', reason: 'too many' });
    await until('it waits for the one that is locked', async () => {
      const blocked = await system.postgres.query(`select from pg_stat_activity where wait_event_type = 'Lock'`);
      return blocked.length === 1 && (await system.jobCount()) === 2;
    });
    await locker.raw(`update job_queue set state = 'running', claimed_by = 'other' where id = ?`, [other]);
    await locker.commit();
    assert.deepEqual(await all, { cancelled: 2300, requested: 1 });
    assert.deepEqual(await TaggedJob.cancelAll({ tag: 'a' }), { cancelled: 0, requested: 0 });
    assert.deepEqual(await TaggedJob.cancelAll(), { cancelled: 1, requested: 0 });
    assert.deepEqual(
      (await system.postgres.query('select id from job_queue')).map(({ id }) => id),
      [other],
    );
  });

  it('is named by an id, a reason and a tag that make sense', async () => {
    const id = '0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11';
    await assert.rejects(Job.cancel('no uuid'), /the id of the job to cancel is "no uuid"; give a UUID/);
    await assert.rejects(Job.cancel(id, { reason: 'x'.repeat(1001) }), TypeError);
    await assert.rejects(Job.cancel(id, { reason: '\0' }), /the reason to cancel is "\\u0000"/);
    await assert.rejects(Job.cancelAll(), /Job.cancelAll needs a tag/);
    await assert.rejects(TaggedJob.cancelAll({ tag: '' }), /TaggedJob.cancelAll: a tag is ""/);
  });

  it('while it ends is either done or cancelled, and everybody says the same', async () => {
    const throwDice = dice(7);
    // They share their events, which one of them counts.
    for (const history of [true, false])
      await system.processor([BriefJob], { jobs: { concurrency: 4 }, tuning: { history } });
    const replies = new Map<string, CancelOutcome>();
    const canceller = async () => {
      for (let n = 0; n < 20; n++) {
        const jobs = await BriefJob.performAllLater(Array.from({ length: 8 }, () => [throwDice(100)] as const));
        for (let turns = throwDice(20); turns > 0; turns--) await nextTurn();
        for (const { id } of jobs) if (throwDice(4) > 0) replies.set(id, await Job.cancel(id));
      }
    };
    await Promise.all([canceller(), canceller(), canceller()]);
    await gone();
    await until('all are told', () => ended().length === 480);
    const idsOf = (name: 'job.succeeded' | 'job.cancelled') => system.eventsNamed(name).map(({ id }) => id);
    const [done, cancelled] = [idsOf('job.succeeded'), idsOf('job.cancelled')];
    assert.equal(new Set([...done, ...cancelled]).size, 480);
    assert.equal(done.length + cancelled.length, 480);
    const waited = system.eventsNamed('job.cancelled').filter(({ was }) => was === 'waiting');
    const repliesOf = (outcome: CancelOutcome) =>
      [...replies].flatMap(([id, reply]) => (reply === outcome ? [id] : []));
    assert.deepEqual(repliesOf('cancelled').sort(), waited.map(({ id }) => id).sort());
    const doneIds = new Set(done);
    assert.deepEqual(
      repliesOf('gone').filter((id) => !doneIds.has(id)),
      [],
    );
    assert.ok(
      repliesOf('gone').length > 0 && repliesOf('requested').some((id) => !doneIds.has(id)),
      'they met while it ran',
    );
    await system.stopProcessors();
    const { all } = await new History(system.database.knex).totals();
    assert.deepEqual([all.processed, all.cancelled, all.failed], [done.length, cancelled.length, 0]);
  });
});
