import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Job } from '../../lib/job/job';
import { JobSystem } from '../job/job-system';
import { setSources, setsOf } from '../job/sets/set-sources';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { cases, SEED, withShortStacks } from './campaign';
import { JOB_SEEDS, JOB_WORDS } from './job-record-seeds';
import { Mutator } from './mutator';

/** The dead set counts up to 10,000 on its pages. */
const MAX_POISONED = 5000;

const healthy: number[] = [];

class HealthyJob extends Job<[number: number]> {
  perform(number: number): void {
    healthy.push(number);
  }
}

class PlainJob extends Job {
  static override readonly retry = { limit: 1 };
  perform(): void {
    if (this.context.tags.length > 0) throw new Error('as its tags asked for');
  }
}

/** A real queue holds poisoned records among good ones: the good ones run, the others end, and operators can inspect them all. */
describe('a queue with poisoned records', () => {
  withShortStacks();
  const system = inSuite('stop', () => JobSystem.start());

  const idle = async () => {
    const { client } = system.redis;
    const left = ['waiting', 'active', 'jobs'].map((key) => `bq:default:${key}`);
    const rows = await system.postgres.query(`select from job_queue limit 1`);
    return rows.length === 0 && (await client.exists(left)) === 0;
  };

  it('runs the good ones and ends the others, without a leftover in Redis or an internal error', async () => {
    const { redis } = system;
    const poisoned = Math.min(cases(1000), MAX_POISONED);
    const mutator = new Mutator(SEED, JOB_WORDS);
    const ids = fc.sample(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), {
      numRuns: poisoned,
      seed: SEED,
    });
    for (let n = 0; n < poisoned; n++) {
      // Our jobs have UUIDs; other producers may use any id.
      const id = n % 2 === 0 ? randomUUID() : `${ids[n]} ${n}`;
      // Redis's client decodes UTF-8, so that other bytes would not come back unchanged.
      const data = mutator.mutate(JOB_SEEDS).toString('utf8');
      const text =
        n % 3 === 0 ? data : `{"data":${data},"options":{"timestamp":1,"stacktraces":[]},"status":"created"}`;
      void redis.client.hSet('bq:default:jobs', id, text);
      void redis.client.lPush('bq:default:waiting', id);
      if (n % 20 === 0) await HealthyJob.performLater(n);
    }
    await system.skipWaits();
    await system.processor([HealthyJob, PlainJob], {
      jobs: { concurrency: 20 },
      // A record whose class this app does not have fails at once here, instead of being left to another release.
      tuning: { leftForMs: Number.NEGATIVE_INFINITY },
    });
    await until('all jobs have ended, and the dead ones are in Postgres', idle, { everyMs: 50 });
    assert.deepEqual(
      [...healthy].sort((a, b) => a - b),
      Array.from({ length: Math.ceil(poisoned / 20) }, (_, n) => n * 20),
    );
    assert.deepEqual(system.eventsNamed('process.error'), []);
    assert.deepEqual(system.eventsNamed('queue.error'), []);
    assert.equal(system.eventsNamed('job.fenced').length, 0);
    assert.equal((await system.deadIds()).length, system.eventsNamed('job.dead').length);
  });

  it('can be listed, filtered, retried and deleted by operators', async () => {
    const sets = setsOf(setSources(system));
    const { total = 0 } = await sets.dead.page();
    assert.ok(total > Math.min(cases(1000), MAX_POISONED) / 20, String(total));
    for (const filter of [{}, { class: 'PlainJob' }, { tag: 'fails' }, { error: 'record' }, { text: 'acme' }]) {
      const { total: expected = 0 } = await sets.dead.page(filter);
      let seen = 0;
      for (let offset = 0; offset < expected; offset += 500)
        seen += (await sets.dead.page({ ...filter, limit: 500, offset })).entries.length;
      assert.equal(seen, expected, JSON.stringify(filter));
    }
    const { entries } = await sets.dead.page({ limit: 50 });
    for (const { id } of entries.filter((job) => job.id.length === 36))
      assert.equal((await sets.find({ id })).place, 'dead');
    const { moved } = await sets.dead.move('retry', { filter: {} });
    assert.equal(moved, total);
    await until('all jobs have ended again', idle, { everyMs: 50 });
    assert.deepEqual(system.eventsNamed('queue.error'), []);
    const { moved: deleted } = await sets.dead.move('delete', { filter: {} });
    assert.ok(deleted > 0);
    assert.deepEqual(await system.deadIds(), []);
    await until('no job is left', async () => (await system.jobCount()) === 0);
  });
});
