import assert from 'node:assert/strict';
import {
  type TestDatabase,
  type TestJobs,
  travelBack,
  useFakeJobs,
  useInlineJobs,
  useRealJobs,
  useTestDatabase,
} from '../../../lib/testing';
import { type TestDatabase as Created, createDatabase } from '../../support/postgres';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { log, Note, setup } from './jobs';

interface Grounds {
  readonly database: TestDatabase;
  readonly redisUrl: string;
}

/** The adapters that have to behave alike. */
const ADAPTERS = {
  fake: () => useFakeJobs({ setup, models: [Note] }),
  inline: () => useInlineJobs({ setup, models: [Note] }),
  real: ({ database, redisUrl }: Grounds) =>
    useRealJobs({ database, redisUrl, setup, models: [Note], timeoutMs: 600_000 }),
};

type AdapterName = keyof typeof ADAPTERS;
type Run = () => Promise<unknown>;

/** Why an adapter cannot behave like the others, and what it does instead. */
interface Difference {
  readonly because: string;
  readonly run: Run;
}

/** A case in which all adapters behave alike, unless one differs by its nature. */
type Conform = (title: string, run: Run, differences?: { readonly [N in AdapterName]?: Difference }) => void;

/** Runs the cases of `define` for each adapter, on shared stores. */
export function conformance(subject: string, define: (conform: Conform, grounds: Grounds) => void): void {
  describe(`the conformance of job adapters: ${subject}`, () => {
    let created: Created;
    let redis: TestRedis;
    let database: TestDatabase;
    const grounds: Grounds = {
      get database() {
        return database;
      },
      get redisUrl() {
        return redis.url;
      },
    };

    before(async () => {
      created = await createDatabase({ migrated: ['lib/job/migrations'] });
      await created.query(
        'create table notes (id serial primary key, text text, created_at timestamptz, updated_at timestamptz)',
      );
      redis = await startTestRedis();
      database = await useTestDatabase({ url: created.url });
    });
    after(async () => {
      await database.close();
      await redis.remove();
      await created.drop();
    });

    for (const adapter of Object.keys(ADAPTERS) as AdapterName[]) {
      describe(adapter, () => {
        let jobs: TestJobs;
        beforeEach(async () => {
          jobs = await ADAPTERS[adapter](grounds);
          log.length = 0;
        });
        afterEach(async () => {
          travelBack();
          await jobs.restore();
          assert.deepEqual(await created.query('select * from job_queue'), [], 'no job is left');
        });
        define((title, run, differences = {}) => {
          const difference = differences[adapter];
          if (difference) it(`${title} – but not here: ${difference.because}`, difference.run);
          else it(title, run);
        }, grounds);
      });
    }
  });
}
