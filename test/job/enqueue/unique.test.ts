import assert from 'node:assert/strict';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import { Job, performAllLater } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

const gate = new Gate();
const ran: string[] = [];

class SyncJob extends Job<[account: string, options?: { readonly deep?: boolean; readonly by?: string }]> {
  static override readonly unique = true;
  async perform(account: string, _options?: { readonly deep?: boolean; readonly by?: string }): Promise<void> {
    ran.push(account);
    await gate.pass();
  }
}

class IndexJob extends Job<[page: string, words: number]> {
  static override readonly unique = { by: (page: string) => page, until: 'executing', ttl: '10m' } as const;
  async perform(page: string, _words: number): Promise<void> {
    ran.push(page);
    await gate.pass();
  }
}

class FailingJob extends Job<[how: 'retry' | 'discard' | 'die']> {
  static override readonly unique = true;
  perform(how: 'retry' | 'discard' | 'die'): void {
    ran.push(how);
    throw how === 'retry' ? new Error('again') : new (how === 'discard' ? DiscardJob : KillJob)(how);
  }
}

class PlainJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}

const CLASSES = [SyncJob, IndexJob, FailingJob, PlainJob];

describe('unique jobs', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  const claims = async () =>
    (await system.postgres.query('select id from job_queue where unique_key is not null')).map((row) => row.id);

  it('are enqueued once: a duplicate gets the id of the first', async () => {
    const first = await SyncJob.performLater('a', { deep: true, by: 'x' });
    assert.deepEqual([first.enqueued, first.reason], [true, undefined]);
    const second = await SyncJob.performLater('a', { by: 'x', deep: true });
    assert.deepEqual(second, { id: first.id, enqueued: false, reason: 'duplicate' });
    for (const other of [SyncJob.performLater('b'), SyncJob.performLater('a'), FailingJob.performLater('die')]) {
      assert.equal((await other).enqueued, true);
    }
    assert.equal(await system.jobCount(), 4);
    assert.deepEqual(system.eventsNamed('job.duplicate'), [{ id: first.id, class: 'SyncJob', queue: 'default' }]);
    assert.equal(system.eventsNamed('job.enqueued').length, 4);
  });

  it('are compared by what `by` returns for their arguments', async () => {
    const { id } = await IndexJob.performLater('home', 1);
    assert.equal((await IndexJob.performLater('home', 2)).id, id);
    assert.equal((await IndexJob.performLater('about', 1)).enqueued, true);
  });

  it('are enqueued together with others in one call, or none of them is', async () => {
    await system.postgres.query('alter table job_queue add constraint none check (unique_key is null)');
    try {
      const jobs = [PlainJob.prepare('a'), SyncJob.prepare('b')];
      await assert.rejects(performAllLater(jobs), /none/);
      assert.equal(await system.jobCount(), 0);
    } finally {
      await system.postgres.query('alter table job_queue drop constraint none');
    }
  });

  it('until executed, may be enqueued again when they have run, but not while they run', async () => {
    await system.processor(CLASSES);
    const first = await SyncJob.performLater('a');
    await until('the job is running', () => gate.held === 1);
    assert.deepEqual(await SyncJob.performLater('a'), { id: first.id, enqueued: false, reason: 'duplicate' });
    gate.open();
    await until('the job has succeeded', () => system.eventsNamed('job.succeeded').length === 1);
    // The claim ends with the outcome, not with the row, which is deleted a little later.
    assert.equal((await SyncJob.performLater('a')).enqueued, true);
    await until('the second ran', () => ran.length === 2);
  });

  it('until executing, may be enqueued again as soon as they run', async () => {
    await system.processor(CLASSES);
    await IndexJob.performLater('home', 1);
    await until('the job is running', () => gate.held === 1);
    assert.equal((await IndexJob.performLater('home', 1)).enqueued, true);
    await until('both jobs are running', () => gate.held === 2);
    gate.open();
    await until('both jobs are done', () => system.eventsNamed('job.succeeded').length === 2);
    await until('the rows are gone', async () => (await system.jobCount()) === 0);
  });

  for (const how of ['discard', 'die'] as const) {
    it(`release their claim when they ${how === 'die' ? 'die' : 'are discarded'}`, async () => {
      await system.processor(CLASSES);
      await FailingJob.performLater(how);
      const event = how === 'discard' ? 'job.discarded' : 'job.dead';
      await until('the first has ended', () => system.eventsNamed(event).length === 1);
      assert.equal((await FailingJob.performLater(how)).enqueued, true);
      await until('the second has ended', () => system.eventsNamed(event).length === 2);
    });
  }

  it('keep their claim until they end, unless they have a ttl', async () => {
    const { id } = await SyncJob.performLater('a');
    await IndexJob.performLater('home', 1);
    await system.postgres.query("update job_queue set unique_until = unique_until - interval '10 years'");
    assert.deepEqual(await SyncJob.performLater('a'), { id, enqueued: false, reason: 'duplicate' });
    assert.equal((await IndexJob.performLater('home', 1)).enqueued, true);
  });

  it('keep their claim while they wait for a retry', async () => {
    await system.processor(CLASSES);
    const { id } = await FailingJob.performLater('retry');
    await until('the job has failed', () => system.eventsNamed('job.retrying').length === 1);
    assert.deepEqual(await FailingJob.performLater('retry'), { id, enqueued: false, reason: 'duplicate' });
  });

  it('keep their claim when a stopping process returns them to their queue', async () => {
    await system.processor(CLASSES);
    const { id } = await SyncJob.performLater('a');
    await until('the job is running', () => gate.held === 1);
    await system.stopProcessors(600);
    assert.equal((await SyncJob.performLater('a')).id, id);
  });

  it('claim nothing in a transaction that rolls back', async () => {
    await assert.rejects(
      transaction(async () => {
        await SyncJob.performLater('a');
        const again = await SyncJob.performLater('a');
        assert.equal(again.reason, 'duplicate', 'a transaction sees its own claim');
        throw new Error('roll back');
      }),
      /roll back/,
    );
    assert.equal((await SyncJob.performLater('a')).enqueued, true);
  });

  /** A transaction that has claimed the key of `account` until it is told how to end. */
  const holdKey = async (account: string) => {
    const trx = await system.database.knex.transaction();
    const held = await SyncJob.set({ trx }).performLater(account);
    const release = async (outcome: 'commits' | 'rolls back' = 'rolls back') =>
      outcome === 'commits' ? trx.commit() : trx.rollback();
    return { held, release };
  };
  const waitingForLocks = async () => {
    const waiting = `select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%job_queue%'`;
    return (await system.postgres.query(waiting)).length;
  };

  for (const outcome of ['commits', 'rolls back'] as const) {
    it(`wait for a transaction that holds the same claim until it ${outcome}`, async () => {
      const { held, release } = await holdKey('a');
      const rival = transaction(() => SyncJob.performLater('a'));
      await until('the rival waits', async () => (await waitingForLocks()) === 1);
      await release(outcome);
      const { enqueued, id: rivalId } = await rival;
      assert.equal(enqueued, outcome === 'rolls back');
      assert.equal(rivalId === held.id, outcome === 'commits');
      assert.deepEqual(await claims(), [rivalId]);
    });
  }

  it('may be enqueued again when the claim has expired, and then claim the key anew', async () => {
    const first = await SyncJob.performLater('a');
    await system.postgres.query("update job_queue set unique_until = clock_timestamp() - interval '1 second'");
    const second = await SyncJob.performLater('a');
    assert.equal(second.enqueued, true);
    assert.deepEqual(await claims(), [second.id]);
    assert.equal(await system.jobCount(), 2, 'the first still runs');
    assert.equal((await SyncJob.performLater('a')).id, second.id);
    assert.notEqual(first.id, second.id);
  });

  it('count their ttl from the time at which they may run', async () => {
    await IndexJob.set({ wait: '2h' }).performLater('home', 1);
    await SyncJob.set({ waitUntil: new Date(Date.now() + 3_600_000) }).performLater('a');
    const rows = await system.postgres.query<{ class: string; minutes: number | null }>(
      `select class, round(extract(epoch from unique_until - run_at) / 60)::int as minutes,
         run_at > now() + interval '59 minutes' as later from job_queue order by class`,
    );
    assert.deepEqual(rows, [
      { class: 'IndexJob', minutes: 10, later: true },
      { class: 'SyncJob', minutes: null, later: true },
    ]);
  });

  it('in bulk, are compared with each other and with those enqueued before', async () => {
    const { id } = await SyncJob.performLater('held');
    const answers = await performAllLater([
      SyncJob.prepare('new'),
      PlainJob.prepare('plain'),
      SyncJob.prepare('held'),
      SyncJob.prepare('new'),
      IndexJob.prepare('new', 1),
      PlainJob.prepare('plain'),
    ]);
    const [fresh, , held, again] = answers;
    assert.deepEqual(
      answers.map((answer) => answer.enqueued),
      [true, true, false, false, true, true],
    );
    assert.deepEqual([held?.id, again?.id], [id, fresh?.id]);
    assert.equal(await system.jobCount(), 5);
  });

  it('do not deadlock in two bulks that claim the same keys in opposite orders', async () => {
    const bulk = (...names: string[]) =>
      transaction(() => SyncJob.performAllLater(names.map((name) => [name] as const)));
    // Both are held up at the key in the middle, where each would already hold the key that the other one needs next.
    const { held, release } = await holdKey('b');
    const bulks = Promise.all([bulk('a', 'b', 'c'), bulk('c', 'b', 'a')]);
    await until('both bulks wait', async () => (await waitingForLocks()) === 2);
    await release();
    const answers = (await bulks).flat();
    assert.equal(held.enqueued, true);
    assert.equal(answers.filter(({ enqueued }) => enqueued).length, 3);
    assert.equal(await system.jobCount(), 3);
  });

  it('are refused with options that make no sense', async () => {
    class WrongUntilJob extends PlainJob {
      static override readonly unique = { until: 'done' as 'executed' };
    }
    class WrongTtlJob extends PlainJob {
      static override readonly unique = { ttl: 0 };
    }
    class NothingJob extends PlainJob {
      static override readonly unique = { by: () => undefined };
    }
    await assert.rejects(WrongUntilJob.performLater('x'), /WrongUntilJob: unique.until is "done"/);
    await assert.rejects(WrongTtlJob.performLater('x'), /WrongTtlJob: unique.ttl is 0/);
    await assert.rejects(NothingJob.performLater('x'), /NothingJob, unique.by: argument 1 is undefined/);
  });
});
