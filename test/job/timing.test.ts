import assert from 'node:assert/strict';
import { JobExpiredError, RateLimited, Snooze } from '../../lib/job/definition/errors';
import { compileOptions } from '../../lib/job/definition/options';
import { notify } from '../../lib/job/hint/notifier';
import { Job, performAllLater } from '../../lib/job/job';
import { reviveJobs } from '../../lib/job/row/dead';
import { findJob } from '../../lib/job/sets/find-job';
import { History } from '../../lib/job/stats/history';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: unknown[] = [];

/** Snoozes at its first run; then it says what it found. */
class SnoozyJob extends Job {
  static override readonly limit = { count: 1 };
  static override unique = true as const;

  static {
    this.retryOn(Error, { attempts: 1 });
    this.discardOn(Snooze);
  }

  async perform(): Promise<void> {
    const cursor = await this.resumeFrom<number>();
    ran.push([cursor, this.context.attempt, this.context.deliveries]);
    await this.checkpoint((cursor ?? 0) + 1);
    if (cursor === undefined) throw new Snooze('1h');
  }
}

type Way = 'ends' | 'fails' | 'snoozes' | 'is told to wait' | 'waits' | 'ignores its signal';

class ReminderJob extends Job<[way: Way]> {
  static override readonly expiresIn = '10m';

  async perform(way: Way): Promise<void> {
    ran.push(way);
    if (way === 'fails') throw new Error('once');
    if (way === 'snoozes') throw new Snooze('1h');
    if (way === 'is told to wait') throw new RateLimited({ after: '1h' });
    if (way === 'waits') await gate.pass(this.context.signal);
    if (way === 'ignores its signal') await gate.pass();
  }

  override afterDiscard(error: Error, way: Way): void {
    ran.push([error, way]);
  }
}

class FailingJob extends Job {
  static override readonly retry = { retryFor: '1h' } as const;

  perform(): void {
    throw new Error('down');
  }
}

class RoutedJob extends Job<[size: number]> {
  static override readonly queue = (size: number) => (size > 9 ? 'mailer' : 'default');

  perform(size: number): void {
    ran.push([size, this.context.queue]);
  }
}

describe('when a job runs', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  const row = async (id: string) => {
    const [found] = await system.postgres.query<{ state: string; seconds: number; history: Record<string, unknown> }>(
      `select state, attempts, deliveries, left_since, history, extract(epoch from run_at - now())::float8 as seconds
       from job_queue where id = $1`,
      [id],
    );
    return found;
  };
  const isScheduled = (id: string) => async () => (await row(id))?.state === 'scheduled';
  const isGone = async () => (await system.jobCount()) === 0;
  /** Makes a job due since some minutes ago. */
  const dueSince = async (minutes: number) => {
    await system.postgres.query(
      `update job_queue set state = 'ready', run_at = now() - $1 * interval '1 minute' where state <> 'running'`,
      [minutes],
    );
    await notify(system.database.knex, 'look');
  };

  describe('a job that snoozes', () => {
    it('runs again then, at no cost to it: attempts, deliveries, checkpoint, unique key', async () => {
      await system.processor([SnoozyJob]);
      const { id } = await SnoozyJob.performLater();
      await until('it snoozes', isScheduled(id));
      const { seconds = 0, ...others } = (await row(id)) ?? {};
      assert.ok(seconds > 3500 && seconds <= 3600, `in ${seconds} s`);
      const kept = { state: 'scheduled', attempts: 0, deliveries: 0, left_since: null, history: null };
      assert.deepEqual(others, kept);
      assert.deepEqual(await SnoozyJob.performLater(), { id, enqueued: false, reason: 'duplicate' });
      assert.deepEqual((await findJob(system.database.knex, { id })).place, 'scheduled');
      await dueSince(0);
      await until('it has ended', isGone);
      assert.deepEqual(ran, [
        [undefined, 1, 1],
        [1, 1, 1],
      ]);
      await system.stopProcessors();
      const { all } = await new History(system.database.knex).totals();
      assert.deepEqual([all.processed, all.failed, all.retried, all.discarded], [1, 0, 0, 0]);
      assert.equal(system.eventsNamed('job.snoozed').length, 1);
    });

    it('fails if the time makes no sense', () => {
      assert.throws(() => new Snooze('soon' as '1s'), /Snooze: "soon" is not a length of time/);
    });
  });

  describe('a job that expires', () => {
    it('leaves without a run when it has been due for too long, and is counted as expired', async () => {
      const { id } = await ReminderJob.performLater('ends');
      const due = Date.now();
      const { entry } = await findJob(system.database.knex, { id });
      const minutes = ((entry?.expiresAt?.getTime() ?? 0) - due) / 60_000;
      assert.equal(Math.round(minutes), 10);
      await dueSince(11);
      await system.processor([ReminderJob]);
      await until('it has left', isGone);
      const [told, ...others] = ran as [error: unknown, way: Way][];
      assert.ok(told?.[0] instanceof JobExpiredError);
      assert.deepEqual([told[1], others], ['ends', []]);
      await system.stopProcessors();
      assert.equal(system.eventsNamed('job.expired').length, 1);
      assert.equal(system.eventsNamed('job.started').length, 0);
      const { all } = await new History(system.database.knex).totals();
      assert.deepEqual([all.expired, all.processed, all.failed, all.discarded], [1, 0, 0, 0]);
    });

    it('runs before that, and later if its enqueue says so', async () => {
      await ReminderJob.performLater('ends');
      await dueSince(9);
      await ReminderJob.set({ expiresIn: '1h' }).performLater('ends');
      await system.processor([ReminderJob]);
      await until('both have ended', isGone);
      await ReminderJob.set({ expiresIn: '1d' }).performLater('ends');
      await dueSince(600);
      await until('the third has ended', isGone);
      assert.deepEqual(ran, ['ends', 'ends', 'ends']);
    });

    for (const way of ['fails', 'snoozes', 'is told to wait'] as const) {
      it(`runs again however late when it ${way}`, async () => {
        await system.processor([ReminderJob]);
        const { id } = await ReminderJob.performLater(way);
        await until('it has run', isScheduled(id));
        await dueSince(60);
        await until('it has run again', () => ran.length === 2);
        assert.deepEqual(ran, [way, way]);
      });
    }

    for (const [way, abortedJobsMs] of [
      ['waits', 10_000],
      ['ignores its signal', 1],
    ] as const) {
      it(`runs again however late when a stop has interrupted it and it ${way}`, async () => {
        const tuning = { runningJobsMs: 1, abortedJobsMs, outcomesMs: 10_000 };
        const processor = await system.processor([ReminderJob], { tuning: { stop: tuning } });
        await ReminderJob.performLater(way);
        await until('it runs', () => gate.held === 1);
        await processor.stop(Deadline.after(30_000));
        await dueSince(60);
        await system.processor([ReminderJob]);
        await until('it runs again', () => ran.length === 2);
        gate.open();
        await until('it has ended', isGone);
        assert.deepEqual(ran, [way, way]);
      });
    }
  });

  describe('a job with retryFor', () => {
    it('dies when its next retry would come too late, and has all the time again when an operator retries it', async () => {
      await system.processor([FailingJob]);
      const { id } = await FailingJob.performLater();
      await until('it has failed', isScheduled(id));
      const first = (await row(id))?.history.firstFailedAt as Record<string, number>;
      assert.ok(Math.abs((first[''] ?? 0) - Date.now()) < 60_000);
      const earlier = JSON.stringify({ firstFailedAt: { '': Date.now() - 3_599_000 } });
      await system.postgres.query('update job_queue set history = (history::jsonb || $1::jsonb)::json', [earlier]);
      await dueSince(0);
      const { reason } = await until('it is dead', () => system.eventsNamed('job.dead')[0]);
      assert.match(reason, /^down .*retryFor of 60 min/);
      await reviveJobs(system.database.knex, { sql: 'delete from job_dead returning *', values: [] });
      await notify(system.database.knex, 'look');
      await until('it is to be retried', isScheduled(id));
    });
  });

  it('runs on the queue that its arguments choose, unless its enqueue names one', async () => {
    await system.processor([RoutedJob]);
    await RoutedJob.performAllLater([[1], [10]]);
    await RoutedJob.set({ queue: 'mailer' }).performLater(2);
    await until('all have run', () => ran.length === 3);
    assert.deepEqual(ran.sort(), [
      [1, 'default'],
      [10, 'mailer'],
      [2, 'mailer'],
    ]);
  });

  it('is due at its share of the spread', async () => {
    const at = new Date(Date.now() + 86_400_000);
    const jobs = [RoutedJob.prepare(1), RoutedJob.prepare(2), RoutedJob.set({ waitUntil: at }).prepare(3)];
    const all = await performAllLater(jobs, { spread: '30m' });
    const rows = await Promise.all(all.map(({ id }) => row(id)));
    const minutes = rows.map((found) => [found?.state, Math.floor((found?.seconds ?? 0) / 60 + 0.5)]);
    assert.deepEqual(minutes, [
      ['ready', 0],
      ['scheduled', 10],
      ['scheduled', 24 * 60 + 20],
    ]);
  });

  describe('rejects', () => {
    abstract class Silent extends Job {
      perform(): void {}
    }
    const refused = (options: object, message: RegExp) =>
      assert.throws(() => compileOptions(Object.assign(class WrongJob extends Silent {}, options)), message);

    it('times that make no sense, when the class is loaded or at the enqueue', async () => {
      refused({ expiresIn: 'soon' }, /WrongJob: expiresIn is "soon"/);
      refused({ expiresIn: 0 }, /WrongJob: expiresIn is 0/);
      refused({ retry: { retryFor: -1 } }, /WrongJob.retry: retryFor is -1/);
      refused({ retry: { limit: -1 } }, /WrongJob.retry: limit is -1/);
      assert.throws(
        () => class WrongJob extends Silent {}.retryOn(Error, { retryFor: 'x' as '1s' }),
        /WrongJob.retryOn: retryFor is "x"/,
      );
      await assert.rejects(RoutedJob.set({ expiresIn: 'x' as '1s' }).performLater(1), /RoutedJob: expiresIn is "x"/);
      assert.equal(await system.jobCount(), 0);
    });
  });
});
