import assert from 'node:assert/strict';
import { logEvents } from '../../../lib/core/event-catalog';
import type { EventMap, EventName } from '../../../lib/core/events';
import { currentContext, runInContext, withAttributes } from '../../../lib/core/execution-context';
import { createLogger } from '../../../lib/core/logging';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { findJob } from '../../../lib/job/sets/find-job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

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
  const system = useJobSystem({ empty: [ran] });

  const row = async (id: string) => {
    const [found] = await system.postgres.query('select state, attempts, claimed_by from job_queue where id = $1', [
      id,
    ]);
    return found;
  };
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
    await until('nothing is left of it', async () => (await system.jobCount()) === 0);
  });

  it('adds the ids of job and request to each log line about the job, and its context to its own lines', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = { level: 'debug', format: 'json' } as const;
    const logger = createLogger({ log }, 'jobs', { write: (text) => void lines.push(JSON.parse(text)) });
    const end = logEvents(system.events, logger);
    class LoggingJob extends Job {
      perform(): void {
        logger.info('at work');
        if (this.context.attempt === 1) throw new Error('once');
      }
    }
    try {
      await system.skipWaits();
      await system.processor([LoggingJob]);
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

  it('retries after the wait of the formula, and counts the attempt in its row', async () => {
    const now = Date.now() + 3_600_000;
    await system.processor([FailingJob], { tuning: { random: () => 0, now: () => now } });
    const { id } = await FailingJob.performLater();
    const event = await heard('job.retrying');
    assert.deepEqual([event.attempt, event.waitMs], [1, 15_000]);
    await until('its failure is recorded', async () => (await row(id))?.attempts === 1);
    const { place, entry } = await findJob(system.database.knex, id);
    assert.equal(place, 'retry');
    const dueInMs = Number(entry?.at) - Date.now();
    assert.ok(dueInMs > 0 && dueInMs <= 15_000, `${dueInMs} ms`);
  });

  it('lets a job die after its last retry, with its latest errors, and deletes its row', async () => {
    await system.skipWaits();
    await system.processor([FailingJob]);
    const { id } = await FailingJob.performLater();
    const { reason } = await heard('job.dead');
    assert.match(reason, /^failure 7 .*\(the last of 7 attempts\)$/);
    assert.deepEqual(ran, [1, 2, 3, 4, 5, 6, 7]);
    await until('the job is dead', async () => (await system.deadIds()).includes(id));
    const { entry } = await findJob(system.database.knex, id);
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

  it('lets a job die that has killed its process three times, and calls its afterDiscard once', async () => {
    class FatalJob extends Job<[name: string]> {
      perform(name: string): void {
        ran.push(name);
      }
      override afterDiscard(error: Error, name: string): void {
        ran.push(`${name}: ${error.name}, ${this.context.deliveries}`);
      }
    }
    const { id } = await FatalJob.performLater('Ann');
    const again = await FatalJob.performLater('Bob, whose afterDiscard did it');
    await system.postgres.query(
      'update job_queue set deliveries = case id when $1 then 3 when $2 then 4 end where id in ($1, $2)',
      [id, again.id],
    );
    await system.processor([FatalJob]);
    await until('both jobs are dead', () => system.eventsNamed('job.dead').length === 2);
    assert.deepEqual(ran, ['Ann: PoisonJobError, 4']);
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
  });

  describe('with a job that was given to another process meanwhile', () => {
    /** A job whose row another process has claimed by the time its first run ends. */
    const usurped = (end: () => void) =>
      class UsurpedJob extends Job {
        async perform(): Promise<void> {
          await system.postgres.query(
            `update job_queue set claimed_by = 'another process', deliveries = deliveries + 1 where id = $1`,
            [this.context.id],
          );
          end();
        }
      };
    const tooLate = () => {
      throw new Error('too late');
    };

    for (const [what, end] of [
      ['succeeds', () => undefined],
      ['fails', tooLate],
    ] as const) {
      it(`leaves it to that process when this run ${what}`, async () => {
        const UsurpedJob = usurped(end);
        await system.processor([UsurpedJob]);
        const { id } = await UsurpedJob.performLater();
        await heard('job.fenced');
        assert.deepEqual(await row(id), { state: 'running', attempts: 0, claimed_by: 'another process' });
        assert.equal(system.eventsNamed('job.retrying').length + system.eventsNamed('job.succeeded').length, 0);
      });
    }
  });
});
