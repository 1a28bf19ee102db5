import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { InvalidRequestError, type JobFilter } from '../../../lib/job/sets/query';
import { inSuite } from '../../support/suite';
import { useJobSystem } from '../job-system';
import { setSources, setsOf } from './set-sources';
import { type StoredJob, store, storeDead } from './stored-job';

/** Few words, so that filters often match records. */
const WORDS = [
  ...['alpha', 'Beta', 'gamma ray', 'x', '42', 'päx', 'ÄRGER', '한국'],
  ...['quote"d', 'back\\slash', 'tail\\', 'li\nne', 'a\u0001b', '\u0002'],
];
/** Texts that look like parts of a record. */
const MARKS = ['],"via":"', '},"options":{"timestamp":', '"class":"AlphaJob"'];
/** Words that are in every record, but belong to no job. */
const NOWHERE = 'outbox args attrs tags some-file locale failed stacktraces reason enqueuedat'.split(' ');
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
  const system = useJobSystem();
  const sets = inSuite(undefined, () => setsOf(setSources(system)));

  for (const name of ['dead', 'retry', 'scheduled', 'waiting'] as const)
    it(`finds exactly the matching jobs of the set ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(job, { maxLength: 12 }),
          fc.array(filter, { minLength: 8, maxLength: 8 }),
          async (jobs, filters) => {
            await system.postgres.query('truncate job_dead, job_queue');
            const { knex } = system.database;
            const stored = jobs.map((given) => {
              const { errors = [], reason, ...rest } = given;
              const id = randomUUID();
              // What has not failed has no errors; a retry has one at least.
              if (name === 'dead') return { id, given };
              return {
                id,
                given: name === 'retry' ? { ...rest, errors: errors.length > 0 ? errors : ['once'] } : rest,
              };
            });
            await Promise.all(
              stored.map(({ id, given }) =>
                name === 'dead'
                  ? storeDead(knex, { ...given, id })
                  : store(knex, name === 'waiting' ? 'ready' : 'scheduled', { ...given, id }),
              ),
            );
            const pages = await Promise.all(filters.map((one) => sets[name].page(one)));
            for (const [index, one] of filters.entries()) {
              const { entries, total } = pages[index] ?? assert.fail();
              const expected = stored.filter(({ id, given }) => meets(id, given, one)).map(({ id }) => id);
              assert.deepEqual(entries.map((entry) => entry.id).sort(), expected.sort(), JSON.stringify(one));
              assert.equal(total, expected.length);
            }
          },
        ),
        { numRuns: 25 },
      );
    });

  it('finds causes of errors and reasons of deaths, but no file names', async () => {
    const id = await storeDead(system.database.knex, {
      errors: ['it took 5 s\nCaused by: Error: socket hang up'],
      reason: 'Gave up',
    });
    const found = async (error: string) => (await sets.dead.page({ error })).entries.map((entry) => entry.id);
    for (const error of ['5 S', 'Hang up', 'gave UP']) assert.deepEqual(await found(error), [id]);
    assert.deepEqual(await found('some-file'), []);
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
