import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { COUNTERS, HISTOGRAMS, Outcomes } from '../../../lib/job/stats/class-stats';
import { OutcomeCounter } from '../../../lib/job/stats/collector';
import { History } from '../../../lib/job/stats/history';
import { StatsWriter } from '../../../lib/job/stats/stats-table';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { inSuite } from '../../support/suite';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { store } from '../sets/stored-job';

const FAST = { infoMs: 40 };
const [MINUTE_MS, HOUR_MS] = [60_000, 3_600_000];

class GoodJob extends Job {
  perform(): void {}
}

class FlakyJob extends Job {
  static override retry = { limit: 1 };

  static override retryIn(): number {
    return 0;
  }

  perform(): void {
    throw new Error('always');
  }
}

describe('the history of jobs', () => {
  const system = useJobSystem();
  const history = inSuite(undefined, () => new History(system.database.knex));

  const lately = (now?: number) => history.last(15 * MINUTE_MS, now);
  const processed = async () => (await history.totals()).all.processed;

  for (const redisOff of [false, true])
    it(`counts the outcomes of the jobs of each class, soon and after the stop, with${redisOff ? 'out' : ''} Redis`, async () => {
      await system.processor([GoodJob, FlakyJob], { tuning: FAST, redisOff });
      for (let i = 0; i < 5; i++) await GoodJob.performLater();
      // It was enqueued years ago; its latency is counted from its retry.
      await store(system.database.knex, 'ready', { class: 'FlakyJob', at: Date.now() - 1000 });
      await until('all outcomes are counted', async () => {
        const { all } = await lately();
        return all.processed === 5 && all.dead === 1;
      });
      await system.stopProcessors();
      const { all, classes } = await lately();
      const [good = assert.fail(), flaky = assert.fail(), ...more] = classes;
      assert.deepEqual([good.class, flaky.class, more], ['GoodJob', 'FlakyJob', []]);
      const counts = ({ processed, failed, retried, dead, discarded, errorRate }: typeof all) => [
        ...[processed, failed, retried, dead, discarded, errorRate],
      ];
      assert.deepEqual(counts(good), [5, 0, 0, 0, 0, 0]);
      assert.deepEqual(counts(flaky), [0, 2, 1, 1, 0, 1]);
      assert.deepEqual(counts(all), [5, 2, 1, 1, 0, 2 / 7]);
      assert.deepEqual([good.duration.count, good.latency.count, flaky.latency.count], [5, 5, 2]);
      const waitedMs = flaky.latency.meanMs ?? 0;
      assert.ok(waitedMs > 400 && waitedMs < 1_800_000, `${waitedMs} ms: a retry waits from when it is due`);
      assert.deepEqual(await history.totals(), { all, classes });
      assert.deepEqual(await history.last(47 * HOUR_MS), { all, classes });
    });

  for (const history of [false, true])
    it(`is ${history ? 'complete after a stop, however rarely it is written' : 'empty when it is switched off'}`, async () => {
      const ended = system.events.next('job.succeeded');
      await system.processor([GoodJob], { tuning: { infoMs: HOUR_MS, history } });
      await GoodJob.performLater();
      await ended;
      await system.stopProcessors();
      assert.equal(await processed(), history ? 1 : 0);
    });

  it('is complete after an outage of Postgres, which a job and its counts do not wait for', async () => {
    await system.processor([GoodJob], { tuning: FAST });
    await system.postgres.query('alter table job_stats rename to away');
    for (let i = 0; i < 3; i++) await GoodJob.performLater();
    await until('all jobs are done', () => system.eventsNamed('job.succeeded').length === 3);
    await until('the failure is reported', () =>
      system.eventsNamed('queue.error').some(({ during }) => during === 'counting what became of jobs'),
    );
    await system.postgres.query('alter table away rename to job_stats');
    await until('all jobs are counted', async () => (await processed()) === 3);
  });

  describe('written by the test', () => {
    const events = new Events();
    let counter: OutcomeCounter;
    let end: () => void;
    beforeEach(() => {
      counter = new OutcomeCounter();
      end = counter.listen(events);
    });
    afterEach(() => end());

    const succeed = (className: string, durationMs = 5) =>
      events.emit('job.succeeded', { id: 'j', class: className, queue: 'default', durationMs });
    const writer = (identity = 'by-hand', { knex } = system.database) => new StatsWriter(knex, counter, identity);
    const spans = async () =>
      (
        await system.postgres.query<{ span: string; processed: number }>(
          `select span, counts[1] as processed from job_stats where kind = 'job' order by 1, at`,
        )
      ).map(({ span, processed }) => [span, processed]);

    it('makes no statement when there is nothing to count', async () => {
      await system.postgres.query('alter table job_stats rename to away');
      await writer().write();
      await system.postgres.query('alter table away rename to job_stats');
    });

    it('is counted once when the reply is lost', async () => {
      const proxy = await TcpProxy.start(system.postgres.url);
      const far = new Database(proxy.url, { production: false, events, poolMax: 1 });
      try {
        const byProxy = writer('by-proxy', far);
        succeed('AJob');
        await byProxy.write();
        succeed('AJob');
        const lost = await system.database.knex.transaction(async (trx) => {
          await trx.raw('lock table job_stats in access exclusive mode');
          const lost = assert.rejects(byProxy.write());
          await until('it waits for the table', async () => {
            const { rows } = await trx.raw(`select from pg_stat_activity where wait_event_type = 'Lock'`);
            return rows.length === 1;
          });
          await proxy.down();
          return [lost];
        });
        await lost[0];
        await until('Postgres has counted it', async () => (await processed()) === 2);
        await proxy.up();
        succeed('AJob');
        await byProxy.write();
        assert.equal(await processed(), 3);
      } finally {
        await far.stop(Deadline.after(1000));
        await proxy.down();
      }
    });

    it('is the sum of all processes, which may write at the same time', async () => {
      const names = Array.from({ length: 20 }, (_, n) => `Some${n}Job`);
      const counters = Array.from({ length: 4 }, (_, n) => ({ n, own: new OutcomeCounter(), events: new Events() }));
      for (let round = 1; round <= 5; round++)
        await Promise.all(
          counters.map(({ n, own, events: heard }) => {
            const end = own.listen(heard);
            for (const name of n % 2 === 0 ? names : names.toReversed())
              heard.emit('job.succeeded', { id: 'j', class: name, queue: 'default', durationMs: 5 });
            end();
            return new StatsWriter(system.database.knex, own, `${n} ${round}`).write();
          }),
        );
      const { classes } = await history.totals();
      assert.deepEqual(
        classes.map((row) => [row.class, row.processed, row.duration.count]),
        names.sort().map((name) => [name, 20, 20]),
      );
    });

    it('has no percentile above the longest run of all processes', async () => {
      for (const [index, durationMs] of [1200, 1300, 900].entries()) {
        succeed('AJob', durationMs);
        await writer(`of ${index}`).write();
      }
      for (const { all } of [await history.totals(), await lately(), await history.last(2 * HOUR_MS)])
        assert.equal(all.duration.p99Ms, 1300);
    });

    it('counts the outcomes of mails by mailer, in the statement that counts the jobs which have sent them', async () => {
      const about = { mailer: 'UserMailer', action: 'welcome' };
      const sent = { ...about, to: [], via: 'smtp', messageId: 'm', durationMs: 3 };
      const error = new Error('refused');
      const writes = writer();
      for (let i = 0; i < 3; i++) events.emit('mail.sent', sent);
      events.emit('mail.failed', { ...about, error });
      events.emit('mail.skipped', { ...about, reason: 'asleep' });
      events.emit('mail.failed', { mailer: 'NewsMailer', action: 'daily', error });
      succeed('AJob');
      await writes.write();
      events.emit('mail.sent', sent);
      await writes.write();
      const { mailers, classes } = await history.counters();
      assert.deepEqual([...mailers].sort(), [
        ['NewsMailer', { sent: 0, failed: 1, skipped: 0 }],
        ['UserMailer', { sent: 4, failed: 1, skipped: 1 }],
      ]);
      assert.deepEqual([...classes.keys()], ['AJob'], 'mailers are not job classes');
      assert.equal(classes.get('AJob')?.processed, 1);
    });

    it('keeps minutes for two hours, hours for three days, and the total', async () => {
      const [noon, writes] = [Date.UTC(2026, 10, 25, 12), writer()];
      const at = async (ms: number) => {
        succeed('AJob');
        await writes.write(noon + ms);
      };
      await at(59_999);
      await at(MINUTE_MS);
      assert.deepEqual(await spans(), [
        ['hour', 2],
        ['minute', 1],
        ['minute', 1],
        ['total', 2],
      ]);
      const since = async (ms: number) => (await history.last(ms, noon + MINUTE_MS)).all.processed;
      assert.deepEqual([await since(30_000), await since(MINUTE_MS - 1), await since(2 * HOUR_MS)], [2, 2, 2]);
      assert.equal((await history.last(0, noon + MINUTE_MS)).all.processed, 1);
      await at(2 * HOUR_MS + MINUTE_MS);
      assert.deepEqual(await spans(), [
        ['hour', 2],
        ['hour', 1],
        ['minute', 1],
        ['minute', 1],
        ['total', 3],
      ]);
      await at(73 * HOUR_MS);
      assert.deepEqual(await spans(), [
        ['hour', 1],
        ['hour', 1],
        ['minute', 1],
        ['total', 4],
      ]);
      assert.equal((await system.postgres.query(`select from job_stats where kind = 'batch'`)).length, 1);
    });

    it('has the last 20 runs of each class, of all processes, newest first, with their outcome', async () => {
      const [first, second] = [writer('first'), new StatsWriter(system.database.knex, counter, 'second')];
      const end = (id: string, name: 'job.retrying' | 'job.dead') =>
        events.emit(name, { ...about(id), waitMs: 1, reason: 'x', error: new Error('no') } as never);
      const about = (id: string) => ({ id, class: 'AJob', queue: 'default', attempt: 1, args: [], durationMs: 7 });
      for (let n = 0; n < 30; n++) events.emit('job.succeeded', about(`a${n}`));
      await first.write();
      end('b1', 'job.retrying');
      end('b2', 'job.dead');
      await second.write();
      const runs = await history.lastRuns('AJob');
      assert.deepEqual(
        runs.map(({ id, ms, outcome }) => [id, ms, outcome]),
        [
          ['b2', null, 'dead'],
          ['b1', null, 'failed'],
          ...Array.from({ length: 18 }, (_, n) => [`a${29 - n}`, 7, 'done']),
        ],
      );
      assert.ok(runs.every(({ at }) => Math.abs(at - Date.now()) < 60_000));
      assert.deepEqual(await history.lastRuns('OtherJob'), []);
      assert.deepEqual(
        (await history.hours('AJob')).map(({ processed, failed }) => [processed, failed]),
        [[30, 2]],
      );
    });

    it('counts classes that the app does not have together', async () => {
      end();
      counter = new OutcomeCounter((name) => name === 'AJob');
      end = counter.listen(events);
      for (const name of ['AJob', 'MadeUp1', 'MadeUp2', 'constructor']) succeed(name);
      await writer().write();
      assert.deepEqual(
        (await history.totals()).classes.map((row) => [row.class, row.processed]),
        [
          ['(other classes)', 3],
          ['AJob', 1],
        ],
      );
    });

    it('comes back as it was counted, whatever was counted under whatever name', async () => {
      const expected = new Outcomes();
      // All in one millisecond, in which the identities of the processes tell their batches apart.
      const now = Date.now();
      let processes = 0;
      const name = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
      const lengths = fc.array(fc.nat(10_000_000), { maxLength: 20 });
      const counts = fc.array(fc.nat(1000), { minLength: COUNTERS.length, maxLength: COUNTERS.length });
      await fc.assert(
        fc.asyncProperty(name, counts, lengths, lengths, async (className, counters, ...times) => {
          const counted = new Outcomes();
          for (const stats of [counted, expected].map((each) => each.class(className))) {
            for (const [index, counter] of COUNTERS.entries()) stats[counter] += counters[index] ?? 0;
            for (const [index, histogram] of HISTOGRAMS.entries())
              for (const ms of times[index] ?? []) stats[histogram].observe(ms);
          }
          counter.take = () => {
            counter.take = () => new Outcomes();
            return counted;
          };
          await writer(`${className} ${++processes}`).write(now);
        }),
        { numRuns: 40 },
      );
      const { classes } = await history.counters();
      assert.deepEqual(new Map([...classes].sort()), new Map([...expected.classes].sort()));
    });
  });
});
