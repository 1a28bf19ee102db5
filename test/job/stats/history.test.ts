import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Job } from '../../../lib/job/job';
import { dayKey, MailTally, minuteKey, TOTALS_KEY } from '../../../lib/job/stats/class-stats';
import { JobStats, StatsFlusher } from '../../../lib/job/stats/collector';
import { History } from '../../../lib/job/stats/history';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';
import { store } from '../sets/stored-job';

const FAST = { heartbeatMs: 20, infoMs: 40 };
const MINUTE_MS = 60_000;

class GoodJob extends Job {
  perform(): void {}
}

const gate = new Gate();

class HeldJob extends Job {
  perform(): Promise<void> {
    return gate.pass();
  }
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
  let system: JobSystem;
  let history: History;
  before(async () => {
    system = await JobSystem.start();
    history = new History(system.redis.client);
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(() => system.reset());

  /** The sum of the last quarter of an hour. */
  const lately = () => history.sum(new Date(Date.now() - 15 * MINUTE_MS), new Date());
  const processed = async () => (await history.totals()).all.processed;

  it('counts the outcomes of the jobs of each class, soon and after the stop', async () => {
    await system.processor([GoodJob, FlakyJob], { tuning: FAST });
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
      processed,
      failed,
      retried,
      dead,
      discarded,
      errorRate,
    ];
    assert.deepEqual(counts(good), [5, 0, 0, 0, 0, 0]);
    assert.deepEqual(counts(flaky), [0, 2, 1, 1, 0, 1]);
    assert.deepEqual(counts(all), [5, 2, 1, 1, 0, 2 / 7]);
    assert.deepEqual([good.duration.count, good.latency.count, flaky.latency.count], [5, 5, 2]);
    const waitedMs = flaky.latency.meanMs ?? 0;
    assert.ok(waitedMs > 400 && waitedMs < 1_800_000, `${waitedMs} ms: a retry waits from when it is due`);
    assert.deepEqual(await history.totals(), { all, classes });
    const [today = assert.fail(), ...others] = (await history.days(3)).reverse();
    // Only if midnight has not passed meanwhile.
    if (today.at.getTime() + 60_000 < Date.now()) assert.deepEqual({ ...today, at: 0 }, { all, classes, at: 0 });
    assert.equal(others.length, 2);
  });

  it('is empty when it is switched off', async () => {
    const ended = system.events.next('job.succeeded');
    await system.processor([GoodJob], { tuning: { ...FAST, history: false } });
    await GoodJob.performLater();
    await ended;
    await system.stopProcessors();
    assert.equal(await processed(), 0);
  });

  it('expires', async () => {
    await system.processor([GoodJob], { tuning: FAST });
    await GoodJob.performLater();
    await until('the job is counted', async () => (await processed()) === 1);
    const { client } = system.redis;
    const keys = await client.keys('catamount:history:*');
    const ttls = await Promise.all(keys.map(async (key) => [key.length, await client.ttl(key)] as const));
    const ttlOf = (key: string) => ttls.find(([length]) => length === key.length)?.[1] ?? 0;
    assert.ok(Math.abs(ttlOf(minuteKey(0)) - 25 * 3600) < 60);
    assert.ok(Math.abs(ttlOf(dayKey(0)) - 180 * 86_400) < 60);
    assert.ok(ttls.every(([, ttl]) => ttl > 0));
  });

  it('is complete after Redis was down, and counts nothing twice', async () => {
    gate.close();
    await system.processor([HeldJob], { tuning: FAST });
    for (let round = 1; round <= 2; round++) {
      await HeldJob.performAllLater(Array.from({ length: 10 }, () => []));
      await until('two jobs are running', () => gate.held === 2);
      await system.redisServer.kill();
      gate.open();
      await until('the two jobs have ended', () => gate.held === 0);
      await system.redisServer.start();
      await until('all jobs are done', () => system.eventsNamed('job.succeeded').length === round * 10);
      gate.close();
    }
    await until('all jobs are counted', async () => (await processed()) === 20);
    await system.stopProcessors();
    assert.equal(await processed(), 20);
  });

  describe('flushed by the test', () => {
    const events = new Events();
    let tally: JobStats;
    let now: number;
    let end: () => void;
    beforeEach(() => {
      now = Date.now();
      tally = new JobStats(() => now);
      end = tally.listen(events);
    });
    afterEach(() => end());

    const succeed = (className: string) =>
      events.emit('job.succeeded', { id: 'j', class: className, queue: 'default', durationMs: 5 });

    it('is counted once when the reply is lost', async () => {
      const handover = new StatsFlusher(tally, 'by-hand');
      succeed('AJob');
      await handover.send(system.redis.client);
      const cut = new Redis(system.redisServer.url, events);
      await cut.start();
      await until('Redis is connected', () => cut.client.isReady);
      succeed('AJob');
      system.redisServer.pause();
      const lost = assert.rejects(handover.send(cut.client));
      // The client writes in the next turn of the event loop.
      for (let turn = 0; turn < 2; turn++) await nextTurn();
      cut.client.destroy();
      await lost;
      system.redisServer.resume();
      await until('Redis has counted it', async () => (await processed()) === 2);
      succeed('AJob');
      await handover.send(system.redis.client);
      await handover.send(system.redis.client);
      assert.equal(await processed(), 3);
    });

    it('has no percentile above the longest run of all processes', async () => {
      const run = { id: 'j', class: 'AJob', queue: 'default' };
      for (const [index, durationMs] of [1200, 1300, 900].entries()) {
        events.emit('job.succeeded', { ...run, durationMs });
        await new StatsFlusher(tally, `of ${index}`).send(system.redis.client);
      }
      const minute = new Date(now);
      for (const { all } of [
        await history.totals(),
        await history.sum(minute, minute),
        (await history.days(1))[0] ?? assert.fail(),
      ])
        assert.equal(all.duration.p99Ms, 1300);
    });

    it('counts the outcomes of mails by mailer', async () => {
      const mails = new MailTally();
      const endMails = mails.listen(events);
      const about = { mailer: 'UserMailer', action: 'welcome' };
      const sent = { ...about, to: [], via: 'smtp', messageId: 'm', durationMs: 3 };
      const error = new Error('refused');
      for (let i = 0; i < 3; i++) events.emit('mail.sent', sent);
      events.emit('mail.failed', { ...about, error });
      events.emit('mail.skipped', { ...about, reason: 'asleep' });
      events.emit('mail.failed', { mailer: 'NewsMailer', action: 'daily', error });
      succeed('AJob');
      const handover = new StatsFlusher(tally, 'by-hand', mails);
      await handover.send(system.redis.client);
      events.emit('mail.sent', sent);
      await handover.send(system.redis.client);
      endMails();
      const { mailers, classes } = await history.counters();
      assert.deepEqual(
        mailers,
        new Map([
          ['UserMailer', { sent: 4, failed: 1, skipped: 1 }],
          ['NewsMailer', { sent: 0, failed: 1, skipped: 0 }],
        ]),
      );
      assert.deepEqual([...classes.keys()], ['AJob'], 'mailers are not job classes');
      assert.equal(classes.get('AJob')?.processed, 1);
    });

    it('never counts a job before the mail that it has sent', async () => {
      const mails = new MailTally();
      const endMails = mails.listen(events);
      const about = { mailer: 'UserMailer', action: 'welcome', to: [], via: 'smtp', messageId: 'm', durationMs: 3 };
      const handover = new StatsFlusher(tally, 'by-hand', mails);
      const seen: string[] = [];
      for (let count = 1; count <= 20; count++) {
        events.emit('mail.sent', about);
        succeed('AJob');
        const sending = handover.send(system.redis.client).then(() => 'sent');
        while ((await Promise.race([sending, nextTurn()])) !== 'sent') {
          const { mailers, classes } = await history.counters();
          const [sent, jobs] = [mailers.get('UserMailer')?.sent ?? 0, classes.get('AJob')?.processed ?? 0];
          if (jobs > sent) seen.push(`${jobs} jobs, ${sent} mails`);
        }
      }
      endMails();
      assert.deepEqual(seen, []);
      assert.equal((await history.counters()).mailers.get('UserMailer')?.sent, 20);
    });

    it('names at most 10,000 classes, and counts the rest together', async () => {
      const { client } = system.redis;
      const fields = Array.from({ length: 10_000 }, (_, i) => [`p:Old${i}Job`, '1'] as const);
      await client.hSet(TOTALS_KEY, Object.fromEntries(fields));
      succeed('Old7Job');
      succeed('NewJob');
      await new StatsFlusher(tally, 'by-hand').send(client);
      assert.deepEqual(await client.hmGet(TOTALS_KEY, ['p:Old7Job', 'p:NewJob', 'p:(other classes)']), [
        '2',
        null,
        '1',
      ]);
      assert.equal((await lately()).classes.length, 2, 'the minute has room');
    });

    it('is read minute by minute, without gaps', async () => {
      const noon = Date.UTC(2026, 10, 25, 12);
      const handover = new StatsFlusher(tally, 'by-hand');
      for (const minute of [0, 3]) {
        now = noon + minute * MINUTE_MS + 1234;
        succeed('AJob');
      }
      await handover.send(system.redis.client);
      const minutes = await history.minutes(new Date(noon + 59_999), new Date(noon + 4 * MINUTE_MS));
      assert.deepEqual(
        minutes.map(({ at, all }) => [at.getTime() - noon, all.processed]),
        [0, 1, 2, 3, 4].map((minute) => [minute * MINUTE_MS, minute % 3 === 0 ? 1 : 0]),
      );
    });
  });

  it('rejects invalid periods', async () => {
    const noon = new Date(Date.UTC(2026, 10, 25, 12));
    for (const [from, to] of [
      [noon, new Date(noon.getTime() - MINUTE_MS)],
      [noon, new Date(noon.getTime() + 1500 * MINUTE_MS)],
      [noon, new Date(Number.NaN)],
    ] as const) {
      await assert.rejects(history.minutes(from, to), /^UserError: .* is not a period of 1 to 1500 minutes\.$/);
    }
    assert.equal((await history.minutes(noon, new Date(noon.getTime() + 1499 * MINUTE_MS))).length, 1500);
    for (const count of [0, 181, 1.5, Number.NaN]) {
      await assert.rejects(history.days(count), /is not a number of days that the history has/);
    }
  });
});
