import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { failedRecord, readRecord } from '../../../lib/job/record/record';
import { InvalidRequestError, type JobFilter } from '../../../lib/job/sets/query';
import { useJobSystem } from '../job-system';
import { type Sets, setSources, setsOf } from './set-sources';
import { payloadText, recordText, type StoredJob, store, storeDead } from './stored-job';

/** Few words, so that filters often match records. */
const WORDS = [
  'alpha',
  'Beta',
  'gamma ray',
  'x',
  '42',
  'päx',
  'ÄRGER',
  '한국',
  'quote"d',
  'back\\slash',
  'tail\\',
  'li\nne',
  'a\u0001b',
  '\u0002',
];
/** Texts that look like parts of a record. */
const MARKS = ['],"via":"', '},"options":{"timestamp":', '"class":"AlphaJob"'];
/** Words that are in every record, but belong to no job. */
const NOWHERE = [
  'outbox',
  'args',
  'attrs',
  'tags',
  'some-file',
  'locale',
  'failed',
  'stacktraces',
  'reason',
  'enqueuedat',
];
/** Arguments that look like the rest of a record. */
const LOOKALIKES = [
  { list: [1], via: 'redis', attrs: {} },
  { empty: {}, options: { timestamp: 1, stacktraces: ['Error: alpha'] }, status: 'retrying' },
  { class: 'AlphaJob', args: [], tags: ['alpha'] },
];
const term = fc.constantFrom(...WORDS);
const word = fc.constantFrom(...WORDS, ...MARKS);
const value = fc.letrec((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    word,
    fc.integer({ min: 0, max: 50 }),
    fc.constantFrom(true, null, ...LOOKALIKES),
    fc.array(tie('json'), { maxLength: 2 }),
    fc.dictionary(word, tie('json'), { maxKeys: 2 }),
  ),
})).json as fc.Arbitrary<never>;

const job: fc.Arbitrary<StoredJob> = fc.record(
  {
    class: fc.constantFrom('AlphaJob', 'BetaJob', 'Quote"Job'),
    args: fc.array(value, { maxLength: 3 }),
    via: fc.constantFrom('outbox', 'redis', 'fallback'),
    tags: fc.array(word, { minLength: 1, maxLength: 2 }),
    requestId: fc.constantFrom('req-alpha', 'req-1'),
    attributes: fc.dictionary(fc.constantFrom('tenant', 'role'), word, { maxKeys: 2 }),
    errors: fc.array(word, { minLength: 1, maxLength: 3 }),
    reason: word,
    progress: value,
  },
  { requiredKeys: [] },
);

const CONDITIONS = {
  class: fc.constantFrom('AlphaJob', 'Quote"Job'),
  tag: term,
  error: fc.oneof(term, fc.constantFrom('ALPHA', 'error', 'at next', 'some-file', 'reason', 'attempts')),
  text: fc.oneof(
    term,
    fc.constantFrom(...NOWHERE, 'ALPHA', 'beta', 'ärger', 'tenant', 'req-', 'Quote"Job', 'id-1', 'betajob'),
  ),
};
const filter: fc.Arbitrary<JobFilter> = fc.oneof(
  fc.record({ class: CONDITIONS.class }),
  fc.record({ tag: CONDITIONS.tag }),
  fc.record({ error: CONDITIONS.error }),
  { arbitrary: fc.record({ text: CONDITIONS.text }), weight: 3 },
  fc.record(CONDITIONS, { requiredKeys: [] }),
);

/** The meaning of a filter, in the simplest implementation. */
function meets(id: string, given: StoredJob, { class: name, tag, error, text }: JobFilter): boolean {
  const within = (hay: string, term: string) => hay.toLowerCase().includes(term.toLowerCase());
  const messages = [...(given.errors ?? []).map((message) => `Error: ${message}`), given.reason ?? ''];
  const leaves = (json: unknown): unknown[] =>
    typeof json === 'object' && json !== null
      ? Object.entries(json).flatMap(([key, inner]) => [key, ...leaves(inner)])
      : [json];
  const holds = (term: string) =>
    within(id, term) ||
    within(given.class ?? 'PlainJob', term) ||
    leaves(given.args ?? []).some((leaf) => within(String(leaf), term)) ||
    messages.some((message) => within(message, term)) ||
    (given.tags ?? []).some((one) => within(one, term)) ||
    within(given.requestId ?? '', term) ||
    leaves(given.attributes ?? {}).some((leaf) => within(String(leaf), term));
  return (
    (name === undefined || (given.class ?? 'PlainJob') === name) &&
    (tag === undefined || (given.tags ?? []).includes(tag)) &&
    (error === undefined || messages.some((message) => within(message, error))) &&
    (text === undefined || holds(text))
  );
}

describe('a filter', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system));
  });

  interface Stored extends StoredJob {
    readonly id: string;
    readonly text: string;
    readonly at: number;
  }
  const places = {
    'dead jobs, in Postgres': {
      set: 'dead',
      status: 'failed',
      empty: () => system.postgres.query('truncate job_dead, job_handovers'),
      put: (stored: Stored) => storeDead(system.database.knex, stored),
    },
    'jobs that wait for a retry, in Redis': {
      set: 'retry',
      status: 'retrying',
      empty: () => system.redis.client.del(['bq:default:delayed', 'bq:default:jobs']),
      put: (stored: Stored) => store(system.redis.client, 'delayed', stored),
    },
  } as const;
  for (const [name, { set, status, empty, put }] of Object.entries(places))
    it(`finds exactly the matching jobs among ${name}, of our own and of plain producers`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(job, fc.constantFrom('ours', 'foreign')), { maxLength: 12 }),
          fc.array(filter, { minLength: 8, maxLength: 8 }),
          async (jobs, filters) => {
            await empty();
            for (const [index, [given, kind]] of jobs.entries()) {
              const text = recordText({ status, ...given });
              // The same record with its keys in another order, as another program may write it.
              const { data, ...rest } = JSON.parse(text) as Record<string, object>;
              const { v, ...payload } = data as { v: number };
              const written = kind === 'foreign' ? JSON.stringify({ ...rest, data: { ...payload, v } }) : text;
              await put({ ...given, id: `id-${index}`, text: written, at: Date.now() });
            }
            for (const one of filters) {
              const { entries, total } = await sets[set].page(one);
              const expected = jobs.flatMap(([given], index) =>
                meets(`id-${index}`, given, one) ? [`id-${index}`] : [],
              );
              assert.deepEqual(entries.map((entry) => entry.id).sort(), expected.sort(), JSON.stringify(one));
              assert.equal(total, expected.length);
            }
          },
        ),
        { numRuns: 30 },
      );
    });

  it('finds exactly the matching scheduled jobs, in Postgres', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(job, { maxLength: 10 }),
        fc.array(filter, { minLength: 6, maxLength: 6 }),
        async (jobs, filters) => {
          await system.postgres.query('truncate job_outbox');
          // Scheduled jobs have not run yet.
          const rows = jobs.map(({ errors: _, reason: __, ...given }) => ({ id: randomUUID(), given }));
          for (const { id, given } of rows) {
            await system.postgres.query(
              `insert into job_outbox (id, queue, class, payload, run_at)
               values ($1, 'default', $2, $3, now() + interval '1 hour')`,
              [id, given.class ?? 'PlainJob', payloadText(given)],
            );
          }
          for (const one of filters) {
            const { entries, total } = await sets.scheduled.page(one);
            const expected = rows.filter(({ id, given }) => meets(id, given, one)).map(({ id }) => id);
            assert.deepEqual(entries.map((entry) => entry.id).sort(), expected.sort(), JSON.stringify(one));
            assert.equal(total, expected.length);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  const found = async (filter: JobFilter) => {
    const { entries, total } = await sets.dead.page(filter);
    assert.equal(total, entries.length);
    return entries.map((entry) => entry.id);
  };

  it('finds causes of errors and reasons of deaths, but no file names', async () => {
    const error = new Error('it took 5 s', { cause: new Error('socket hang up') });
    const record = failedRecord(readRecord(recordText({})), error, { deadReason: 'Gave up' });
    await storeDead(system.database.knex, { id: 'late', text: JSON.stringify(record) });
    for (const error of ['5 S', 'Hang up', 'gave UP']) assert.deepEqual(await found({ error }), ['late']);
    assert.deepEqual(await found({ error: 'filter.test' }), []);
  });

  it('finds unreadable records by their text and id only', async () => {
    await storeDead(system.database.knex, { id: 'broken', text: '{"data":{"class":"BrokenJob' });
    await storeDead(system.database.knex, { id: 'ghost', text: undefined, at: 1 });
    assert.deepEqual((await found({})).sort(), ['broken', 'ghost']);
    assert.deepEqual(await found({ text: 'brokenJ' }), ['broken']);
    assert.deepEqual(await found({ text: 'GHOST' }), ['ghost']);
    for (const filter of [{ class: 'BrokenJob' }, { tag: 'a' }, { error: 'o' }])
      assert.deepEqual(await found(filter), []);
  });

  it('is rejected with the invalid value', async () => {
    const wrong: readonly [JobFilter, RegExp][] = [
      [{ queue: 'a b' }, /the queue is "a b"; use letters, digits, - and _/],
      [{ queue: ['default', ''] }, /the queue is ""/],
      [{ text: 'x'.repeat(1001) }, /text is "xx.*; give a text of at most 1000 characters/],
      [{ error: 'a\0b' }, /error is "a\\u0000b"; give a text/],
    ];
    for (const [filter, message] of wrong) {
      for (const set of [sets.dead, sets.retry, sets.scheduled]) {
        await assert.rejects(
          set.page(filter),
          (error) => error instanceof InvalidRequestError && message.test(error.message),
        );
        await assert.rejects(set.count(filter), InvalidRequestError);
      }
    }
  });
});
