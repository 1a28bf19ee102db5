import assert from 'node:assert/strict';
import { logEvents } from '../../../lib/core/event-catalog';
import type { EventMap, EventName } from '../../../lib/core/events';
import { currentContext, runInContext, withAttributes } from '../../../lib/core/execution-context';
import { createLogger } from '../../../lib/core/logging';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { handOver } from '../../../lib/job/outbox/dead-jobs';
import { findJob } from '../../../lib/job/sets/find-job';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

/** A clock so far behind that every retry is due at once. */
const RETRY_AT_ONCE = { now: () => Date.now() - 1e12 };

const ran: unknown[] = [];

class ContextJob extends Job<[extra: { readonly list: readonly number[] }]> {
  static override readonly tags = ['one', 'two'];

  perform(extra: unknown): void {
    const { requestId, locale, attributes, jobId, jobClass } = currentContext();
    const { id, attempt, queue, tags, deliveries, class: name, enqueuedAt } = this.context;
    const age = Date.now() - enqueuedAt.getTime();
    const checks = [id === jobId, name === jobClass, age >= 0 && age < 60_000];
    ran.push({ extra, requestId, locale, attributes, jobClass, attempt, queue, tags, deliveries, checks });
  }
}

class FailingJob extends Job {
  static override retry = { limit: 6 };

  perform(): void {
    ran.push(this.context.attempt);
    throw new Error(`failure ${this.context.attempt} ${'x'.repeat(9000)}`);
  }
}

class VerdictJob extends Job<[verdict: 'discard' | 'kill' | 'now' | 'broken rule']> {
  static override retryIn(_attempt: number, error: Error) {
    if (error.message === 'broken rule') throw new Error('the rule itself broke');
    return error.message === 'now' ? 0 : undefined;
  }

  perform(verdict: string): void {
    ran.push(verdict);
    if (verdict === 'discard') throw new DiscardJob('nothing to do');
    if (verdict === 'kill') throw new KillJob('550 no such user');
    if (this.context.attempt === 1) throw new Error(verdict);
  }
}

describe('the executor', () => {
  const system = useJobSystem(() => {
    ran.length = 0;
  });

  const record = async (id: string) => JSON.parse((await system.redis.client.hGet('bq:default:jobs', id)) ?? 'null');
  const heard = <E extends EventName>(name: E) =>
    until(`${name} is heard`, () => system.eventsNamed(name)[0]) as Promise<EventMap[E]>;

  it('runs a job with its arguments, in the context in which it was enqueued', async () => {
    await system.processor([ContextJob]);
    await runInContext({ requestId: 'r-1', locale: 'ko' }, () =>
      withAttributes({ tenant: 'acme' }, () => ContextJob.performLater({ list: [] })),
    );
    await heard('job.succeeded');
    const expected = {
      requestId: 'r-1',
      locale: 'ko',
      attributes: { tenant: 'acme' },
      jobClass: 'ContextJob',
      attempt: 1,
      queue: 'default',
      tags: ['one', 'two'],
      deliveries: 1,
      checks: [true, true, true],
    };
    assert.deepEqual(ran, [{ extra: { list: [] }, ...expected }]);
    assert.equal(await system.redis.client.hLen('bq:default:jobs'), 0, 'nothing is left of it');
  });

  it('adds the ids of job and request to each log line about the job, and its context to its own lines', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = { level: 'debug', format: 'json', file: null } as const;
    const logger = createLogger({ log }, 'jobs', { write: (text) => void lines.push(JSON.parse(text)) });
    const end = logEvents(system.events, logger);
    class LoggingJob extends Job {
      perform(): void {
        logger.info('at work');
        if (this.context.attempt === 1) throw new Error('once');
      }
    }
    try {
      await system.processor([LoggingJob], { tuning: RETRY_AT_ONCE });
      const { id } = await runInContext({ requestId: 'r-9', locale: 'ko' }, () =>
        withAttributes({ tenant: 'acme' }, () => LoggingJob.performLater()),
      );
      await heard('job.succeeded');
      const ofJob = lines.filter(({ msg }) => /^LoggingJob (started|failed|done)|^at work/.test(String(msg)));
      assert.deepEqual(
        ofJob.map(({ msg, jobId, requestId }) => [String(msg).split(/[ ,]/)[1], jobId, requestId]),
        ['started', 'work', 'failed', 'started', 'work', 'done'].map((what) => [what, id, 'r-9']),
      );
      const own = lines.filter(({ msg }) => msg === 'at work');
      assert.deepEqual(
        own.map(({ jobClass, attempt, locale, attributes }) => [jobClass, attempt, locale, attributes]),
        [1, 2].map((attempt) => ['LoggingJob', attempt, 'ko', { tenant: 'acme' }]),
      );
    } finally {
      end();
    }
  });

  it('retries after the wait of the formula, and counts the attempt in the record', async () => {
    const now = Date.now() + 3_600_000;
    await system.processor([FailingJob], { tuning: { random: () => 0, now: () => now } });
    const { id } = await transaction(() => FailingJob.performLater());
    const event = await heard('job.retrying');
    assert.deepEqual([event.attempt, event.waitMs], [1, 15_000]);
    assert.equal(await system.redis.client.zScore('bq:default:delayed', id), now + 15_000);
    assert.equal((await record(id)).options.attempts, 1);
    assert.equal(await system.jobCount(), 1, 'its row is kept');
  });

  it('lets a job die after its last retry, with its latest errors, and deletes its row', async () => {
    await system.processor([FailingJob], { tuning: RETRY_AT_ONCE });
    const { id } = await transaction(() => FailingJob.performLater());
    const { reason } = await heard('job.dead');
    assert.match(reason, /^failure 7 .*\(the last of 7 attempts\)$/);
    assert.deepEqual(ran, [1, 2, 3, 4, 5, 6, 7]);
    await until('the job is dead', async () => (await system.deadIds()).includes(id));
    const { entry } = await findJob({ redis: system.redis.client, knex: system.database.knex, queues: [] }, id);
    assert.deepEqual(
      entry?.errors.map(({ stack }) => [stack.slice(0, 16), stack.length]),
      [7, 6, 5, 4, 3].map((attempt) => [`Error: failure ${attempt}`, 4000]),
    );
    await until('the row is gone', async () => (await system.jobCount()) === 0);
  });

  it('discards, kills and retries jobs as their errors and retryIn say, and ignores a retryIn that throws', async () => {
    await system.processor([VerdictJob]);
    for (const verdict of ['discard', 'kill', 'now', 'broken rule'] as const) await VerdictJob.performLater(verdict);
    await until('two jobs wait for their retry', () => system.eventsNamed('job.retrying').length === 2);
    await heard('job.succeeded');
    assert.equal((await heard('job.discarded')).error.message, 'nothing to do');
    assert.equal((await heard('job.dead')).reason, '550 no such user');
    assert.deepEqual(
      system.eventsNamed('job.retrying').map((event) => event.waitMs >= 15_000),
      [false, true],
    );
    assert.match(system.eventsNamed('process.error')[0]?.error.message ?? '', /the rule itself broke/);
  });

  it('lets unreadable jobs die, and goes on', async () => {
    const { client } = system.redis;
    const bad = ['not json', '7', '{"data":{"no":"class"}}', '{"data":{"class":"ContextJob","args":3}}', '{}'];
    for (const [index, text] of bad.entries()) {
      await client.hSet('bq:default:jobs', `bad-${index}`, text);
      await client.lPush('bq:default:waiting', `bad-${index}`);
    }
    await client.lPush('bq:default:waiting', 'no-record');
    await ContextJob.performLater({ list: [1] });
    await system.processor([ContextJob]);
    await heard('job.succeeded');
    assert.equal(system.eventsNamed('job.dead').length, bad.length);
    await until('all bad jobs are dead', async () => (await system.deadIds()).length === bad.length);
    const stored = await system.postgres.query(`select payload from job_dead where id = 'bad-0'`);
    assert.deepEqual(stored, [{ payload: 'not json' }], 'kept as it was');
    assert.equal(await client.lLen('bq:default:active'), 0);
  });

  it('fails a job whose class no release has had for three weeks', async () => {
    const late = () => Date.now() + 22 * 24 * 3600 * 1000;
    await system.processor([], { tuning: { now: late } });
    await transaction(() => ContextJob.performLater({ list: [1] }));
    const { error, attempt } = await heard('job.retrying');
    assert.equal(error.message, 'there is no job class ContextJob in this app');
    assert.deepEqual([attempt, system.eventsNamed('job.left').length], [1, 0]);
  });

  it('lets a job die that has killed its process three times, and calls its afterDiscard once', async () => {
    const { client } = system.redis;
    class FatalJob extends Job<[name: string]> {
      perform(name: string): void {
        ran.push(name);
      }
      override afterDiscard(error: Error, name: string): void {
        ran.push(`${name}: ${error.name}, ${this.context.deliveries}`);
      }
    }
    const { id } = await FatalJob.performLater('Ann');
    await client.hSet('bq:default:deliveries', id, '3:');
    const again = await FatalJob.performLater('Bob, whose afterDiscard did it');
    await client.hSet('bq:default:deliveries', again.id, '4:');
    await system.processor([FatalJob]);
    await until('both jobs are dead', () => system.eventsNamed('job.dead').length === 2);
    assert.deepEqual(ran, ['Ann: PoisonJobError, 4']);
  });

  it('lets a job with unreadable arguments die at once, without calling its callbacks', async () => {
    const { client } = system.redis;
    const text = '{"data":{"class":"VerdictJob","args":[{"$date":"soon"}]}}';
    await client.hSet('bq:default:jobs', 'odd', text);
    await client.lPush('bq:default:waiting', 'odd');
    await system.processor([VerdictJob]);
    assert.match((await heard('job.dead')).reason, /tagged \$date, but holds "soon"/);
    assert.deepEqual(ran, []);
  });

  describe('with a job that blocks the event loop', () => {
    it('lets other work run before the next job begins, even if both were fetched together', async () => {
      const turns: number[] = [];
      const spans: { readonly from: number; readonly to: number }[] = [];
      class BlockingJob extends Job {
        perform(): void {
          const from = performance.now();
          while (performance.now() < from + 520);
          spans.push({ from, to: performance.now() });
        }
      }
      for (let i = 0; i < 3; i++) await BlockingJob.performLater();
      const timer = setInterval(() => turns.push(performance.now()), 5);
      await system.processor([BlockingJob], { jobs: { concurrency: 3 } });
      await until('all three jobs have run', () => spans.length === 3);
      clearInterval(timer);
      for (const [index, { from }] of spans.slice(1).entries()) {
        const end = spans[index]?.to ?? assert.fail();
        assert.ok(turns.some((at) => at >= end && at <= from));
      }
    });

    it('answers a stall mark within a third of the interval, so that the job may block for the other two thirds', async () => {
      const gate = new Gate();
      class HeldJob extends Job {
        perform(): Promise<void> {
          return gate.pass();
        }
      }
      const { client } = system.redis;
      const stallInterval = 1200;
      // Only the test marks jobs.
      await client.set('bq:default:stallBlock', '1');
      await system.processor([HeldJob], { tuning: { stallInterval } });
      const { id } = await HeldJob.performLater();
      await until('the job is running', () => gate.held === 1);
      for (let mark = 0; mark < 3; mark++) {
        await client.sAdd('bq:default:stalling', id);
        // The answer that is due by then has been sent before this timer fires, since timers fire in the order of their times.
        await new Promise((resolve) => setTimeout(resolve, stallInterval / 3));
        await client.ping();
        assert.equal(await client.sIsMember('bq:default:stalling', id), 0);
      }
      gate.open();
    });
  });

  describe('with a job that was given to another process meanwhile', () => {
    /** What has become of the job by the time its first run ends. */
    const fates: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
      'is running there': async () => undefined,
      'has failed there and waits for its retry': async (id) => {
        await system.redis.client.lRem('bq:default:active', 0, id);
        await system.redis.client.hDel('bq:default:deliveries', id);
        await system.redis.client.zAdd('bq:default:delayed', { score: Date.now() + 60_000, value: id });
      },
      'is dead after too many rescues': async (id) => {
        await system.redis.client.lRem('bq:default:active', 0, id);
        await system.redis.client.hDel('bq:default:deliveries', id);
        await system.redis.client.zAdd('bq:default:dead', { score: Date.now(), value: id });
      },
      'is dead in Postgres after too many rescues': async (id) => {
        await system.redis.client.lRem('bq:default:active', 0, id);
        await system.redis.client.hDel('bq:default:deliveries', id);
        await system.redis.client.zAdd('bq:default:dead', { score: Date.now(), value: id });
        await handOver({ knex: system.database.knex, redis: system.redis.client }, 'default', [id]);
      },
    };
    const usurped = (end: () => void, fate: (id: string) => Promise<unknown> = async () => undefined) =>
      class UsurpedJob extends Job {
        async perform(): Promise<void> {
          await system.redis.client.hSet('bq:default:deliveries', this.context.id, '2:another.1');
          await fate(this.context.id);
          end();
        }
      };

    for (const [what, fate] of Object.entries(fates)) {
      it(`completes it when this run succeeds, though it ${what}`, async () => {
        const UsurpedJob = usurped(() => undefined, fate);
        await system.processor([UsurpedJob]);
        await transaction(() => UsurpedJob.performLater());
        await heard('job.succeeded');
        await until('the row is gone', async () => (await system.jobCount()) === 0);
        await until('the job is not dead', async () => (await system.deadIds()).length === 0);
        const left = await system.redis.client.keys('bq:default:*');
        assert.deepEqual(
          left.filter((key) => !/:(finished|stallBlock)$/.test(key)),
          [],
        );
      });
    }

    it('leaves it to that process when this run fails', async () => {
      const UsurpedJob = usurped(() => {
        throw new Error('too late');
      });
      const { client } = system.redis;
      await system.processor([UsurpedJob]);
      const { id } = await transaction(() => UsurpedJob.performLater());
      await heard('job.fenced');
      assert.equal(await client.hExists('bq:default:jobs', id), 1);
      assert.equal(await client.lLen('bq:default:active'), 1);
      assert.equal(await system.jobCount(), 1);
      assert.equal(system.eventsNamed('job.retrying').length, 0);
    });

    it('leaves it to that process, too, if its id is not a UUID and so may be reused by a plain producer', async () => {
      const UsurpedJob = usurped(() => undefined);
      const { client } = system.redis;
      await system.processor([UsurpedJob]);
      await client.hSet('bq:default:jobs', '7', '{"data":{"class":"UsurpedJob","args":[]}}');
      await client.lPush('bq:default:waiting', '7');
      await heard('job.fenced');
      assert.equal(await client.hExists('bq:default:jobs', '7'), 1);
    });
  });
});
