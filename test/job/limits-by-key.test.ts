import assert from 'node:assert/strict';
import { setTimeout as work } from 'node:timers/promises';
import fc from 'fast-check';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import type { Limits } from '../../lib/job/definition/limits';
import { Job, performAllLater } from '../../lib/job/job';
import { recordOutcomes } from '../../lib/job/row/end';
import { insertJobs } from '../../lib/job/row/insert';
import { readInstallation } from '../../lib/job/row/installation';
import type { Delivery } from '../../lib/job/row/job-row';
import { admit, claimLimited, heldKeys } from '../../lib/job/row/limited';
import { rescue } from '../../lib/job/row/rescue';
import { timeOrderedUuid } from '../../lib/support/uuid';
import { SEED } from '../fuzz/campaign';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';
import { setSources } from './sets/set-sources';

const gate = new Gate();
const ran: string[] = [];
const running = new Map<string, number>();
let most = 0;

class TenantJob extends Job<[tenant: string, n: number]> {
  static override readonly limit = { count: 2, key: (tenant: string) => tenant };

  async perform(tenant: string, n: number): Promise<void> {
    running.set(tenant, (running.get(tenant) ?? 0) + 1);
    most = Math.max(most, running.get(tenant) ?? 0);
    await gate.pass(this.context.signal);
    running.set(tenant, (running.get(tenant) ?? 0) - 1);
    ran.push(`${tenant} ${n}`);
  }
}

/** Takes a while, so that a slot is what its jobs compete for. */
class ShareJob extends Job<[tenant: string]> {
  static override readonly limit = { count: 300, key: (tenant: string) => tenant };

  async perform(tenant: string): Promise<void> {
    await work(5);
    ran.push(tenant);
  }
}

class QuietJob extends Job {
  perform(): void {
    ran.push('quiet');
  }
}

const ODD = ['\u0000', 'x'.repeat(5000), '', 'ü', '\ud800', 7, 7n ** 40n];

class OddJob extends Job<[n: number]> {
  static override readonly limit = { count: 1, key: (n: number) => ODD[n] };

  perform(_: number): void {}
}

describe('limits by key', () => {
  const system = useJobSystem({
    gate,
    reset: () => {
      running.clear();
      ran.length = most = 0;
    },
  });
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);
  const count = async (state: string) => {
    const [row] = await system.postgres.query<{ count: number }>(
      `select count(*)::int from job_queue where state = '${state}'`,
    );
    return row?.count;
  };

  it('let as many jobs of each key run, in their order, and hold the others without a slot', async () => {
    await system.processor([TenantJob], { jobs: { concurrency: 10 } });
    const jobs = ['a', 'b', 'c'].flatMap((tenant) => Array.from({ length: 5 }, (_, n) => TenantJob.prepare(tenant, n)));
    await performAllLater(jobs);
    await until('two of each key run', async () => (await count('running')) === 6 && (await count('held')) === 9);
    gate.open();
    await until('all have run', () => ran.length === 15);
    assert.equal(most, 2);
    await nothingLeft();
  });

  it('say what a held job waits for', async () => {
    await system.processor([TenantJob], { jobs: { concurrency: 10 } });
    const jobs = await TenantJob.performAllLater([
      ['a', 0],
      ['a', 1],
      ['a', 2],
      ['a', 3],
    ]);
    await until('two are held', async () => (await count('running')) === 2 && (await count('held')) === 2);
    const found = await new JobAdmin(setSources(system)).find({ id: jobs[3]?.id ?? '' });
    assert.deepEqual([found.place, found.held], ['blocked', { key: 'a', running: 2, ahead: 1, usedUntil: null }]);
    gate.open();
    await nothingLeft();
  });

  for (const redisOff of [false, true]) {
    it(`let keys take turns on a slot, ${redisOff ? 'without' : 'with'} Redis`, async () => {
      await system.processor([ShareJob, QuietJob], { jobs: { concurrency: 1 }, redisOff });
      await QuietJob.performLater();
      await until('the processor waits for more', () => ran.length === 1);
      await ShareJob.performAllLater(Array.from({ length: 400 }, () => ['large']));
      await until('the large key runs', () => ran.length > 10);
      const before = ran.length;
      await ShareJob.performLater('small');
      await until('the small key has run', () => ran.includes('small'));
      assert.ok(
        ran.indexOf('small') - before < 25,
        `${ran.indexOf('small') - before} jobs of the large key ran before it`,
      );
    });
  }

  it('refuse a key that is no text and no number, before anything is enqueued', async () => {
    const given = { name: 'Ann' } as unknown as string;
    await assert.rejects(
      TenantJob.performAllLater([
        ['a', 1],
        [given, 2],
      ]),
      /TenantJob: the key of its limit or rate is \{"name":"Ann"\} for these arguments; return text or a number/,
    );
    assert.equal(await system.jobCount(), 0);
  });

  it('are kept for a job that is retried, scheduled or rescued', async () => {
    await system.processor([TenantJob], { jobs: { concurrency: 10 } });
    for (let n = 0; n < 5; n++) await TenantJob.set({ wait: 1 }).performLater('a', n);
    await until('they are due, and held', async () => (await count('running')) === 2 && (await count('held')) === 3);
    gate.open();
    await nothingLeft();
    assert.equal(most, 2);
  });

  it('take any text as a key, however long or odd it is', async () => {
    await OddJob.performAllLater(ODD.map((_, n) => [n]));
    const rows = await system.postgres.query<{ key: string }>('select distinct limit_key as key from job_queue');
    assert.equal(rows.length, ODD.length);
    assert.ok(rows.every(({ key }) => key.length < 220));
  });

  describe('under any order of events', () => {
    const LIMITS: Limits = new Map([['AnyJob', { count: 2, gapMs: null, burst: 0, key: undefined }]]);
    const KEYS = ['AnyJob:a', 'AnyJob:b'];
    type Event = { readonly what: 'enqueue' | 'admit' | 'claim' | 'end' | 'crash'; readonly n: number };
    const event = fc.record<Event>({
      what: fc.constantFrom('enqueue', 'enqueue', 'admit', 'claim', 'claim', 'end', 'crash'),
      n: fc.nat(7),
    });

    it('never run more of a key than its limit, and never get stuck', async () => {
      const { knex } = system.database;
      const origin = (await readInstallation(knex)).here;
      const run = async (events: readonly Event[]) => {
        const claimed: (Delivery & { readonly by: string })[] = [];
        const claimAs = async (by: string, limit: number) => {
          const found = await claimLimited(knex, { identity: by, origin }, { queues: ['default'], limit }, LIMITS);
          claimed.push(...found.claimed.map((delivery) => ({ ...delivery, by })));
          const rows = await system.postgres.query<{ key: string; count: number }>(
            `select limit_key as key, count(*)::int from job_queue where state = 'running' group by 1`,
          );
          for (const { key, count } of rows) assert.ok(count <= 2, `${count} of ${key} run`);
          return found.claimed.length;
        };
        const end = async (delivery: (typeof claimed)[number]) =>
          recordOutcomes(knex, delivery.by, [{ delivery, outcome: { op: 'delete' } }]);
        let enqueued = 0;
        for (const { what, n } of events) {
          const by = `p${n % 3}`;
          if (what === 'enqueue') {
            const rows = Array.from({ length: n + 1 }, (_, i) => ({
              id: timeOrderedUuid(),
              queue: 'default',
              class: 'AnyJob',
              payload: '{"class":"AnyJob"}',
              tags: [],
              runAt: undefined,
              limitKey: KEYS[(n + i) % 2],
            }));
            await insertJobs(knex, rows);
            enqueued += rows.length;
          } else if (what === 'admit') await admit(knex, LIMITS, [KEYS[n % 2] ?? '']);
          // Two processors at once.
          else if (what === 'claim') await Promise.all([claimAs(by, n + 1), claimAs(`${by}b`, n + 1)]);
          else if (what === 'crash') await rescue(knex, { identity: by });
          else {
            const [delivery] = claimed.splice(n % Math.max(1, claimed.length), 1);
            if (delivery) await end(delivery);
          }
        }
        // What the dispatcher does, and processors that go on: everything runs.
        for (const by of ['p0', 'p1', 'p2', 'p0b', 'p1b', 'p2b']) await rescue(knex, { identity: by });
        claimed.length = 0;
        for (let round = 0; (await system.jobCount()) > 0; round++) {
          assert.ok(round < enqueued + 5, 'jobs are stuck');
          await admit(knex, LIMITS, await heldKeys(knex, '', 1));
          await admit(knex, LIMITS, await heldKeys(knex, KEYS[0] ?? '', 1));
          await claimAs('last', 10);
          for (const delivery of claimed.splice(0)) await end(delivery);
        }
      };
      await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 30 }), run), { numRuns: 25, seed: SEED });
    });
  });
});
