import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { JobSet } from '../../../lib/job/sets/job-set';
import { InvalidRequestError, type JobFilter, SORT_KEYS, type SortKey } from '../../../lib/job/sets/query';
import { useJobSystem } from '../job-system';
import { type Sets, setSources, setsOf } from './set-sources';
import { payloadText, store, storeDead } from './stored-job';

/** So far ahead that nothing falls due during the test, ms. */
const SOON = Date.now() + 3_600_000;

describe('a sorted page', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system));
  });

  const idsOf = async (set: JobSet, by: SortKey, descending: boolean, filter: JobFilter = {}) => {
    const { entries, total } = await set.page({ ...filter, sort: { by, descending } });
    assert.equal(total, entries.length);
    return entries.map((entry) => entry.id).join('');
  };

  /** Four dead jobs: a to d, in the order of their death. */
  const bury = async () => {
    await storeDead(system.database.knex, {
      id: 'a',
      class: 'Zebra',
      queue: 'mailer',
      at: 1000,
      errors: ['x', 'y', 'z'],
    });
    await storeDead(system.database.knex, { id: 'b', class: 'Ape"s', at: 2000, errors: ['x'] });
    await storeDead(system.database.knex, { id: 'c', at: 3000, text: 'no record at all' });
    const other = '{"options":{"stacktraces":["TypeError: x"],"attempts":7},"data":{"args":[],"class":"Mouse"}}';
    await storeDead(system.database.knex, { id: 'd', at: 4000, text: other });
  };

  it('has dead jobs by time, class, queue, error and attempts, in either direction', async () => {
    await bury();
    const seen = await Promise.all(
      SORT_KEYS.map(async (by) => [by, await idsOf(sets.dead, by, false), await idsOf(sets.dead, by, true)]),
    );
    assert.deepEqual(seen, [
      ['at', 'abcd', 'dcba'],
      ['class', 'bdac', 'adbc'],
      ['queue', 'dcba', 'adcb'],
      ['error', 'badc', 'dbac'],
      ['attempts', 'cbad', 'dabc'],
    ]);
    const page = await sets.dead.page({ offset: 1, limit: 2, sort: { by: 'class', descending: false } });
    assert.deepEqual([page.entries.map((entry) => entry.class), page.total], [['Mouse', 'Zebra'], 4]);
  });

  it('has scheduled jobs of Postgres and of Redis in one order, in either direction', async () => {
    const ids: Record<string, string> = {};
    const schedule = async (name: string, className: string, queue: string, at: number, inRedis = false) => {
      const id = randomUUID();
      ids[id] = name;
      const job = { id, class: className, queue };
      if (inRedis) await store(system.redis.client, 'delayed', { ...job, at: SOON + at });
      else {
        await system.postgres.query(
          'insert into job_outbox (id, queue, class, payload, run_at) values ($1, $2, $3, $4, $5)',
          [id, queue, className, payloadText(job), new Date(SOON + at)],
        );
      }
    };
    await schedule('a', 'Zebra', 'mailer', 1000);
    await schedule('b', 'Ape', 'default', 2000, true);
    await schedule('c', 'Mouse', 'mailer', 2000, true);
    await schedule('d', 'Cow', 'default', 3000);
    const names = async (by: SortKey, descending: boolean, filter?: JobFilter) => {
      const { entries } = await sets.scheduled.page({ ...filter, sort: { by, descending } });
      return entries.map((entry) => ids[entry.id]).join('');
    };
    assert.deepEqual([await names('at', false), await names('at', true)], ['abcd', 'dbca']);
    assert.deepEqual([await names('class', false), await names('class', true)], ['bdca', 'acdb']);
    assert.deepEqual([await names('queue', false), await names('queue', true)], ['dbca', 'cadb']);
    assert.equal(await names('class', false, { until: new Date(SOON + 2000) }), 'bca');
    const first = await sets.scheduled.page({ limit: 2, sort: { by: 'at', descending: true } });
    const second = await sets.scheduled.page({ limit: 2, after: first.next, sort: { by: 'at', descending: true } });
    assert.equal([...first.entries, ...second.entries].map((entry) => ids[entry.id]).join(''), 'dbca');
  });

  it('may be limited to a period, like counts and moves', async () => {
    await bury();
    const filter = { since: new Date(2000), until: new Date(3000) };
    assert.equal(await idsOf(sets.dead, 'at', true, filter), 'cb');
    assert.equal(await idsOf(sets.dead, 'at', false, filter), 'bc');
    assert.equal(await sets.dead.count(filter), 2);
    assert.equal(await sets.dead.count({ ...filter, text: 'no record' }), 1);
    assert.deepEqual(await sets.dead.deleteMany({ filter }), { moved: 2, complete: true });
    assert.equal(await idsOf(sets.dead, 'at', true), 'da');
    assert.equal(await sets.dead.count({ until: new Date(999) }), 0);
  });

  it('of given references has those that are in the set, in their order', async () => {
    await bury();
    const { client } = system.redis;
    const later = { at: SOON, queue: 'default' };
    await store(client, 'delayed', { id: 'failed', ...later, errors: ['x'] });
    await store(client, 'delayed', { id: 'plain', ...later });
    const id = randomUUID();
    await system.postgres.query(
      'insert into job_outbox (id, queue, class, payload, run_at) values ($1, $2, $3, $4, $5)',
      [id, 'mailer', 'Zebra', payloadText({ id, class: 'Zebra' }), new Date(SOON)],
    );
    const all = [{ id: 'plain', queue: 'default' }, 'b', id, 'failed', { id: 'a', queue: 'default' }, 'gone'];
    const ids = async (set: JobSet) => (await set.entries(all)).map((entry) => entry.id);
    assert.deepEqual(await ids(sets.dead), ['b']);
    assert.deepEqual(await ids(sets.retry), ['failed']);
    assert.deepEqual(await ids(sets.scheduled), ['plain', id]);
    assert.deepEqual(await sets.dead.entries([]), []);
  });

  it('is refused for invalid options', async () => {
    const wrong = [
      { sort: { by: 'colour' as SortKey, descending: false } },
      { sort: { by: 'class' as const, descending: false }, after: 'x' },
      { since: new Date(Number.NaN) },
    ];
    for (const request of wrong) await assert.rejects(sets.dead.page(request), InvalidRequestError);
  });
});
