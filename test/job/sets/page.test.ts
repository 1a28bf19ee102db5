import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { JobEntry } from '../../../lib/job/sets/entry';
import { InvalidRequestError, type JobFilter, type JobPage, type PageRequest } from '../../../lib/job/sets/query';
import { SetReader } from '../../../lib/job/sets/set-reader';
import { inSuite } from '../../support/suite';
import { useJobSystem } from '../job-system';
import { setSources, setsOf } from './set-sources';
import { store, storeDead, storeFinished } from './stored-job';

const QUEUES = ['alpha', 'beta', 'gamma'];
const SOON = Date.now() + 3_600_000;

interface Given {
  readonly queue: string;
  readonly at: number;
  readonly isRed: boolean;
}

const given: fc.Arbitrary<Given> = fc.record({
  queue: fc.constantFrom(...QUEUES),
  // Few values, so that there are ties.
  at: fc.integer({ min: 1, max: 6 }),
  isRed: fc.boolean(),
});

const request = fc.record({
  limit: fc.integer({ min: 1, max: 5 }),
  offset: fc.integer({ min: 0, max: 8 }),
  red: fc.boolean(),
});

/** @returns the ids of all pages. */
async function allPages(read: (request: PageRequest) => Promise<JobPage>, request: PageRequest): Promise<string[]> {
  const { limit = 1 } = request;
  const ids: string[] = [];
  for (let offset = 0; ; offset += limit) {
    const page = await read({ ...request, offset, count: offset === 0 });
    ids.push(...page.entries.map((entry) => entry.id));
    if (page.entries.length < limit) break;
  }
  return ids;
}

describe('a page', () => {
  const system = useJobSystem();
  const sets = inSuite(undefined, () => setsOf(setSources(system, QUEUES)));

  /** Reads one page and all, and compares the ids and their order. */
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
    const uncounted = await read({ ...filter, limit, offset, count: false });
    assert.deepEqual([uncounted.entries, uncounted.total], [page.entries, undefined]);
    assert.deepEqual(await allPages(read, { ...filter, limit }), expected);
  }

  for (const name of ['dead', 'retry', 'scheduled', 'waiting'] as const)
    it(`of the set ${name} has its jobs in one order`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(given, { maxLength: 12 }), request, async (jobs, { red, ...bounds }) => {
          await system.postgres.query('truncate job_dead, job_queue');
          const stored = jobs.map((job) => ({ ...job, at: SOON + job.at, id: randomUUID() }));
          const { knex } = system.database;
          for (const { isRed, ...job } of stored) {
            const full = { ...job, class: isRed ? 'RedJob' : 'BlueJob', ...(name === 'retry' && { errors: ['once'] }) };
            if (name === 'dead') await storeDead(knex, full);
            else await store(knex, name === 'waiting' ? 'ready' : 'scheduled', full);
          }
          // Those of the same moment come in one order, which the pages show when they are read as a whole.
          const all = await sets[name].page({ limit: 500 });
          const chosen = all.entries.filter((entry) => !red || entry.class === 'RedJob');
          // All jobs that wait come queue by queue, and those of one class in the order in which they are due.
          const byTime = (a: JobEntry, b: JobEntry) => Number(a.at) - Number(b.at) || (a.id < b.id ? -1 : 1);
          const expected = (name === 'waiting' && red ? chosen.toSorted(byTime) : chosen).map((entry) => entry.id);
          const places = all.entries.map(({ queue, at }) => [name === 'waiting' ? queue : '', at?.getTime() ?? 0]);
          const sorted = places.toSorted((a, b) => {
            const [earlier, later] = name === 'dead' ? [b, a] : [a, b];
            return String(earlier[0]).localeCompare(String(later[0])) || Number(earlier[1]) - Number(later[1]);
          });
          assert.deepEqual(places, sorted);
          assert.equal(all.total, jobs.length);
          const filter = red ? { class: 'RedJob' } : {};
          await check((page) => sets[name].page(page), expected, bounds, filter);
          assert.equal(await sets[name].count(filter), expected.length);
        }),
        { numRuns: 15 },
      );
    });

  it('says when more jobs match than are counted, and when more could match than were read', async () => {
    await system.postgres.query(
      `insert into job_queue (id, queue, class, payload)
       select gen_random_uuid(), 'alpha', case when n > 1 then 'AJob' else 'BJob' end, '{}' from generate_series(1, 100001) as n`,
    );
    const said = async (request: PageRequest) => {
      const { total, complete, isPartial, entries } = await sets.waiting.page({ ...request, limit: 1 });
      return [total, complete, isPartial, entries.length];
    };
    assert.deepEqual(await said({}), [10_000, false, false, 1]);
    assert.deepEqual(await said({ text: 'nowhere' }), [0, false, true, 0]);
    assert.deepEqual(await said({ text: 'bjob', class: 'BJob' }), [1, true, false, 1]);
  });

  it('has the jobs of the given queues', async () => {
    for (const queue of [...QUEUES, 'other']) await storeDead(system.database.knex, { queue });
    const found = async (queue: string | string[]) =>
      (await sets.dead.page({ queue })).entries.map((entry) => entry.queue).sort();
    assert.deepEqual(await found('beta'), ['beta']);
    assert.deepEqual(await found(['gamma', 'other', 'gamma']), ['gamma', 'other']);
    assert.deepEqual(await found(''), ['alpha', 'beta', 'gamma', 'other']);
  });

  it('of the finished set has the jobs that meet all its filters', async () => {
    const jobs = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => ({
      id: randomUUID(),
      queue: n & 1 ? 'alpha' : 'beta',
      class: n & 2 ? 'RedJob' : 'BlueJob',
      tags: n & 4 ? ['large'] : [],
      at: 1000 + n,
    }));
    for (const job of jobs) await storeFinished(system.database.knex, job, {});
    const finished = new SetReader(system.database.knex, 'finished');
    for (const queue of [undefined, 'alpha', ['alpha', 'gamma']])
      for (const name of [undefined, 'RedJob'])
        for (const tag of [undefined, 'large']) {
          const { entries, total, complete } = await finished.page({ queue, class: name, tag });
          const chosen = jobs.filter(
            (job) =>
              (!queue || job.queue === 'alpha') && (!name || job.class === name) && (!tag || job.tags.includes(tag)),
          );
          assert.deepEqual(
            entries.map(({ id }) => id),
            chosen.map(({ id }) => id).reverse(),
          );
          assert.deepEqual([total, complete], [chosen.length, true]);
        }
  });

  it('of the finished set says when more jobs could meet its filters than it looked at', async () => {
    await system.postgres.query('truncate job_finished');
    await system.postgres.query(
      `insert into job_finished (id, queue, class, payload, attempts, tags, search, ending, keep_until, keep_limit, finished_at)
       select gen_random_uuid(), case n when 1 then 'alpha' else 'beta' end, 'AJob', '{}', 0, '{}', '', '{}', now(), 1, now() + n * interval '1 second'
       from generate_series(1, 5001) as n`,
    );
    const finished = new SetReader(system.database.knex, 'finished');
    const said = async (request: PageRequest) => {
      const { total, complete, isPartial, mostRead } = await finished.page(request);
      return [total, complete, isPartial, mostRead];
    };
    assert.deepEqual(await said({ queue: 'alpha', class: 'AJob' }), [0, false, true, 5000]);
    assert.deepEqual(await said({ queue: 'alpha' }), [1, true, false, 5000]);
    assert.deepEqual(await said({ class: 'AJob' }), [5001, true, false, 5000]);
  });

  it('has the jobs of a span of time, both ends included', async () => {
    for (const at of [1000, 2000, 3000]) await storeDead(system.database.knex, { at });
    const found = async (span: JobFilter) => (await sets.dead.page(span)).entries.map(({ at }) => Number(at));
    assert.deepEqual(await found({ since: new Date(2000) }), [3000, 2000]);
    assert.deepEqual(await found({ until: new Date(2000) }), [2000, 1000]);
  });

  it('is read without the arguments of jobs that have very long ones, which their own page shows', async () => {
    const args = ['x'.repeat(100_000)];
    const id = await storeDead(system.database.knex, { args });
    assert.deepEqual((await sets.dead.page()).entries[0]?.args, ['(98 kB)']);
    assert.deepEqual((await sets.find(id)).entry?.args, args);
  });

  it('is refused for invalid options', async () => {
    for (let n = 0; n < 2; n++) await storeDead(system.database.knex, { queue: 'alpha' });
    const wrong: readonly [PageRequest, RegExp][] = [
      [{ offset: -1 }, /offset is -1; give a whole number from 0/],
      [{ offset: 0.5 }, /offset is 0.5/],
      [{ limit: 501 }, /limit is 501; give a whole number from 0 to 500/],
      [{ limit: Number.NaN }, /limit is NaN/],
      [{ since: new Date('someday') }, /since is Invalid Date; give a valid date/],
    ];
    for (const [page, message] of wrong) {
      await assert.rejects(
        sets.retry.page(page),
        (error) => error instanceof InvalidRequestError && message.test(error.message),
      );
      await assert.rejects(sets.scheduled.page(page), InvalidRequestError);
      await assert.rejects(sets.waiting.page(page), InvalidRequestError);
    }
  });
});
