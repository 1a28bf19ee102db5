import {
  type TestDatabase,
  type TestJobs,
  travelBack,
  useFakeJobs,
  useInlineJobs,
  useTestDatabase,
} from '../../../lib/testing';
import { type TestDatabase as Created, createDatabase } from '../../support/postgres';
import { log, Note, setup } from './jobs';

interface Grounds {
  readonly database: TestDatabase;
}

/** The adapters that have to behave alike. */
const ADAPTERS = {
  fake: () => useFakeJobs({ setup, models: [Note] }),
  inline: () => useInlineJobs({ setup, models: [Note] }),
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
    let database: TestDatabase;
    const grounds: Grounds = {
      get database() {
        return database;
      },
    };

    before(async () => {
      created = await createDatabase({ migrated: ['lib/job/migrations'] });
      await created.query(
        'create table notes (id serial primary key, text text, created_at timestamptz, updated_at timestamptz)',
      );
      database = await useTestDatabase({ url: created.url });
    });
    after(async () => {
      await database.close();
      await created.drop();
    });

    for (const adapter of Object.keys(ADAPTERS) as AdapterName[]) {
      describe(adapter, () => {
        let jobs: TestJobs;
        beforeEach(async () => {
          jobs = await ADAPTERS[adapter]();
          log.length = 0;
        });
        afterEach(async () => {
          travelBack();
          await jobs.restore();
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
