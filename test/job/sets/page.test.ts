import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { JobAdmin } from '../../../lib/job/admin/job-admin';
import { InvalidRequestError, type JobFilter, type JobPage, type PageRequest } from '../../../lib/job/sets/query';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';
import { payloadText, store, storeDead } from './stored-job';

const QUEUES = ['alpha', 'beta', 'gamma'];
/** So large that one script call reads at most three. */
const LARGE = 'x'.repeat(500_000);

interface Given {
  readonly queue: string;
  readonly at: number;
  readonly isRed: boolean;
  readonly isLarge: boolean;
}

const given: fc.Arbitrary<Given> = fc.record({
  queue: fc.constantFrom(...QUEUES),
  // Few values, so that there are ties.
  at: fc.integer({ min: 1, max: 6 }),
  isRed: fc.boolean(),
  isLarge: fc.oneof({ arbitrary: fc.constant(false), weight: 4 }, fc.constant(true)),
});

const request = fc.record({
  limit: fc.integer({ min: 1, max: 5 }),
  offset: fc.integer({ min: 0, max: 8 }),
  red: fc.boolean(),
});

/** @returns the ids of all pages, read by cursor. */
async function allPages(read: (request: PageRequest) => Promise<JobPage>, request: PageRequest): Promise<string[]> {
  const ids: string[] = [];
  let after: string | undefined;
  let pages = 0;
  do {
    const page = await read({ ...request, after, count: pages % 2 === 0 });
    ids.push(...page.entries.map((entry) => entry.id));
    after = page.next;
    assert.ok(pages++ < 100, 'the pages have an end');
  } while (after !== undefined);
  return ids;
}

describe('a page', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system, ['gamma', 'alpha', 'beta', 'alpha']));
  });

  /** Reads by offset and by cursor, and compares the ids and their order. */
  async function check(
    read: (request: PageRequest) => Promise<JobPage>,
    expected: readonly string[],
    { limit, offset }: { readonly limit: number; readonly offset: number },
    filter: JobFilter,
  ): Promise<void> {
    const page = await read({ ...filter, limit, offset });
    assert.deepEqual(
      page.entries.map((entry) => entry.id),
      expected.slice(offset, offset + limit),
    );
    assert.deepEqual([page.total, page.complete], [expected.length, true]);
    assert.equal(
      page.next !== undefined,
      expected.length > offset + limit,
      'there is a next only if something follows',
    );
    const uncounted = await read({ ...filter, limit, offset, count: false });
    assert.deepEqual([uncounted.entries, uncounted.total], [page.entries, undefined]);
    assert.deepEqual(await allPages(read, { ...filter, limit }), expected);
  }

  const compareText = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);

  it('has the dead jobs of all queues in one order, newest first', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(given, { maxLength: 15 }), request, async (jobs, { red, ...bounds }) => {
        await system.postgres.query('truncate job_dead, job_handovers');
        const stored = jobs.map((job, index) => ({ ...job, id: `id-${String(index).padStart(2, '0')}` }));
        for (const { isRed, isLarge, ...job } of stored) {
          const args = isLarge ? [LARGE] : [];
          await storeDead(system.database.knex, { ...job, class: isRed ? 'RedJob' : 'BlueJob', args });
        }
        const expected = stored
          .filter((job) => job.isRed || !red)
          .sort((a, b) => b.at - a.at || compareText(a.queue, b.queue) || compareText(a.id, b.id))
          .map((job) => job.id);
        await check((page) => sets.dead.page(page), expected, bounds, red ? { class: 'RedJob' } : {});
      }),
      { numRuns: 25 },
    );
  });

  it('has scheduled jobs of Postgres and of Redis in one order, soonest first, and no retries', async () => {
    const soon = Date.now() + 3_600_000;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(given, fc.constantFrom('row', 'redis', 'retry')), { maxLength: 15 }),
        request,
        async (jobs, { red, ...bounds }) => {
          await system.redis.client.flushAll();
          await system.postgres.query('truncate job_outbox');
          const stored = jobs.map(([job, kind]) => ({ ...job, kind, id: randomUUID() }));
          for (const { isRed, isLarge, kind, at, ...job } of stored) {
            const full = { ...job, class: isRed ? 'RedJob' : 'BlueJob', args: isLarge ? [LARGE] : [] };
            const due = soon + at;
            if (kind === 'row') {
              await system.postgres.query(
                'insert into job_outbox (id, queue, class, payload, run_at) values ($1, $2, $3, $4, $5)',
                [job.id, job.queue, full.class, payloadText(full), new Date(due)],
              );
            } else {
              await store(system.redis.client, 'delayed', {
                ...full,
                at: due,
                ...(kind === 'retry' && { errors: ['e'] }),
              });
            }
          }
          const matching = stored.filter((job) => job.isRed || !red);
          const ordered = (kinds: readonly string[]) =>
            matching
              .filter((job) => kinds.includes(job.kind))
              .sort((a, b) => a.at - b.at || compareText(a.queue, b.queue) || compareText(a.id, b.id))
              .map((job) => job.id);
          const filter = red ? { class: 'RedJob' } : {};
          await check((page) => sets.scheduled.page(page), ordered(['row', 'redis']), bounds, filter);
          await check((page) => sets.retry.page(page), ordered(['retry']), bounds, filter);
          assert.equal(await sets.scheduled.count(filter), ordered(['row', 'redis']).length);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('has the jobs of a queue in the order in which they will run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(given, { maxLength: 15 }), request, async (jobs, { red, ...bounds }) => {
        await system.redis.client.flushAll();
        const ids: string[] = [];
        for (const { isRed, isLarge } of jobs) {
          const args = isLarge ? [LARGE] : [];
          const id = await store(system.redis.client, 'waiting', {
            queue: 'beta',
            class: isRed ? 'RedJob' : 'BlueJob',
            args,
          });
          if (isRed || !red) ids.push(id);
        }
        const waiting = sets.waiting('beta');
        await check((page) => waiting.page(page), ids, bounds, red ? { class: 'RedJob' } : {});
        assert.equal(await waiting.count(red ? { class: 'RedJob' } : {}), ids.length);
      }),
      { numRuns: 25 },
    );
  });

  it('has the same total as the size of its set', async () => {
    const { client } = system.redis;
    const soon = Date.now() + 3_600_000;
    for (const queue of QUEUES) {
      for (const at of [soon, soon + 1]) await store(client, 'delayed', { queue, at, errors: ['once'] });
      await storeDead(system.database.knex, { queue });
    }
    assert.deepEqual(await new JobAdmin(setSources(system, ['gamma', 'alpha', 'beta', 'alpha'])).sizes(), {
      retry: 6,
      scheduled: 0,
      dead: 3,
    });
    // Only its record shows whether a job that a plain producer has delayed waits for a retry.
    await store(client, 'delayed', { id: '1', queue: 'alpha', at: soon });
    await store(client, 'delayed', { id: '2', queue: 'alpha', at: soon, errors: ['once'] });
    await client.zAdd('bq:alpha:delayed', { score: soon, value: 'it has no record' });
    await system.postgres.query(
      `insert into job_outbox (id, queue, class, payload, run_at)
       select gen_random_uuid(), 'beta', 'LaterJob', '{}', now() + interval '1 hour' from generate_series(1, 4)`,
    );
    assert.deepEqual(await new JobAdmin(setSources(system, ['gamma', 'alpha', 'beta', 'alpha'])).sizes(), {
      retry: 7,
      scheduled: 6,
      dead: 3,
    });
    assert.deepEqual([await sets.retry.count(), await sets.scheduled.count(), await sets.dead.count()], [7, 6, 3]);
  });

  it('is continued by its cursor, although jobs were added and removed meanwhile', async () => {
    for (let at = 1; at <= 6; at++) await storeDead(system.database.knex, { id: `job-${at}`, at, queue: 'alpha' });
    const first = await sets.dead.page({ limit: 2 });
    assert.deepEqual(
      first.entries.map((entry) => entry.id),
      ['job-6', 'job-5'],
    );
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: ['job-5'] })), true);
    assert.equal(await isMoved(sets.dead.deleteMany({ ids: ['job-3'] })), true);
    await storeDead(system.database.knex, { id: 'job-7', at: 7, queue: 'alpha' });
    const second = await sets.dead.page({ limit: 2, after: first.next });
    assert.deepEqual(
      second.entries.map((entry) => entry.id),
      ['job-4', 'job-2'],
    );
    assert.equal(second.total, 5);
  });

  it('of a queue begins at its head when the job of its cursor has run', async () => {
    const { client } = system.redis;
    for (const id of ['a', 'b', 'c', 'd']) await store(client, 'waiting', { id, queue: 'alpha' });
    const waiting = sets.waiting('alpha');
    const { next } = await waiting.page({ limit: 2 });
    assert.deepEqual(
      (await waiting.page({ after: next })).entries.map((entry) => entry.id),
      ['c', 'd'],
    );
    await client.rPopCount('bq:alpha:waiting', 3);
    assert.deepEqual(
      (await waiting.page({ after: next })).entries.map((entry) => entry.id),
      ['d'],
    );
  });

  it('has the jobs of the given queues, even of unknown ones', async () => {
    for (const queue of [...QUEUES, 'other']) await storeDead(system.database.knex, { id: queue, queue });
    const found = async (queue: string | string[]) =>
      (await sets.dead.page({ queue })).entries.map((entry) => entry.id).sort();
    assert.deepEqual(await found('beta'), ['beta']);
    assert.deepEqual(await found(['gamma', 'other', 'gamma']), ['gamma', 'other']);
    assert.deepEqual(await found(''), ['alpha', 'beta', 'gamma', 'other']);
    for (const queue of [...QUEUES, 'other'])
      await store(system.redis.client, 'delayed', { id: queue, queue, errors: ['e'] });
    assert.equal((await sets.retry.page()).total, 3);
    assert.deepEqual(await setsOf(setSources(system, [])).retry.page(), {
      entries: [],
      total: 0,
      complete: true,
      next: undefined,
    });
  });

  it('is refused for invalid options', async () => {
    const { next } = await (async () => {
      for (const id of ['a', 'b']) await storeDead(system.database.knex, { id, queue: 'alpha' });
      return sets.dead.page({ limit: 1 });
    })();
    const wrong: readonly [PageRequest, RegExp][] = [
      [{ offset: -1 }, /offset is -1; give a whole number from 0/],
      [{ offset: 0.5 }, /offset is 0.5/],
      [{ limit: 501 }, /limit is 501; give a whole number from 0 to 500/],
      [{ limit: Number.NaN }, /limit is NaN/],
      [{ after: 'nonsense' }, /the cursor is "nonsense"; give `next` of a page of the retry set, or none/],
      [{ after: next }, /the cursor is /],
    ];
    for (const [page, message] of wrong) {
      await assert.rejects(
        sets.retry.page(page),
        (error) => error instanceof InvalidRequestError && message.test(error.message),
      );
      await assert.rejects(sets.scheduled.page(page), InvalidRequestError);
      await assert.rejects(sets.waiting('alpha').page(page), InvalidRequestError);
    }
    assert.throws(() => sets.waiting('a b'), /the queue is "a b"/);
  });
});
