import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import type { PageRequest } from '../../../lib/job/sets/query';
import { SetReader } from '../../../lib/job/sets/set-reader';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { createDatabase } from '../../support/postgres';
import { rowsRead } from '../../support/rows-read';
import { inSuite } from '../../support/suite';

const JOBS = 1_000_000;
/**
 * Rows and entries of indexes that Postgres may read for a page: some for the count, some for each search. The most are those of a
 * tag that about each fiftieth job has. Its index leads to 20,000 jobs, the order of the page to 25,000 until 500 of them have
 * the tag, and each job is an entry and a row. Postgres takes either way, as its sample of the table happens to say.
 */
const MOST_READ = 55_000;
/** The oldest of six batches. */
const BATCH = 'cfcd2084-95d5-65ef-66e7-dff9f98764da';
const HOUR = 3_600_000;

/** Of each kind of filter one that matches many jobs, a few, old ones only, and none. */
const PAGES: Readonly<Record<string, PageRequest>> = {
  'the first page': {},
  'page 200': { offset: 4975 },
  'a common class': { class: 'Common' },
  'page 200 of a class': { class: 'Common', offset: 4975 },
  'an old class': { class: 'Old' },
  'no class': { class: 'None' },
  'a queue': { queue: 'few' },
  'several queues': { queue: ['few', 'old'] },
  'page 200 of a queue': { queue: 'default', offset: 4975 },
  'a class in a queue': { class: 'Common', queue: 'few' },
  'a class in an old queue': { class: 'Common', queue: 'old' },
  'a tag': { tag: 'even' },
  'a tag of each fiftieth': { tag: 'bulk' },
  'a rare tag': { tag: 'tenant-7' },
  'a tag of a class': { tag: 'even', class: 'Job13' },
  'a tag of an old class': { tag: 'even', class: 'Old' },
  'a batch': { batch: BATCH },
  'a class in a batch': { batch: BATCH, class: 'Job13' },
  'a tag in a batch': { batch: BATCH, tag: 'even' },
  'a text': { text: 'zebra' },
  'a text that all have': { text: 'word' },
  'a text in a class': { text: 'zebra', class: 'Common' },
  'a text in a queue': { text: 'zebra', queue: 'few' },
  'an error': { error: 'zebra' },
  'a time': { until: new Date(Date.now() - 12 * HOUR) },
  'a class at a time': { class: 'Job13', since: new Date(Date.now() - 12 * HOUR) },
};

describe('a page of a million finished jobs', () => {
  const postgres = inSuite('drop', () => createDatabase({ migrated: ['lib/job/migrations'] }));
  const database = inSuite(
    (opened) => opened.stop(Deadline.after(10_000)),
    () => new Database(postgres.url, { production: false, events: new Events(), poolMax: 1 }),
  );

  before(async () => {
    await postgres.query(
      `insert into job_finished (id, queue, class, payload, attempts, tags, search, ending, keep_until, keep_limit, batch_id, finished_at)
       select gen_random_uuid(), case when n < 1000 then 'old' when n % 50 = 0 then 'few' else 'default' end,
         case when n < 100 then 'Old' when hash % 10 < 6 then 'Common' else 'Job' || hash % 97 end,
         '{"class":"Job","args":[]}', 0, case when hash % 5 = 0 then array['even', 'tenant-' || hash % 1000] when hash % 50 = 1 then array['bulk'] else '{}' end,
         'some word ' || n, '{}', now() + interval '1 day', ${2 * JOBS}, case when n % 100 = 0 then md5((n / 200000)::text)::uuid end,
         now() - (${JOBS} - n) * interval '0.1 seconds'
       from (select n, abs(hashint4(n)) as hash from generate_series(1, ${JOBS}) as n) as given`,
    );
    await postgres.query('vacuum analyze job_finished');
  });

  for (const [name, request] of Object.entries(PAGES))
    it(`reads a bounded number of rows: ${name}`, async () => {
      let found = 0;
      const read = await rowsRead(database.knex, async (transaction) => {
        found = (await new SetReader(transaction, 'finished').page(request)).entries.length;
      });
      assert.ok(read > 0 || found === 0, 'Postgres has counted nothing');
      assert.ok(read <= MOST_READ, `${name}: Postgres has read ${read} rows and entries of indexes`);
    });
});
