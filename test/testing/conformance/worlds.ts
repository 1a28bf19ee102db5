import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { RowEnqueuer } from '../../../lib/job/enqueue/row-enqueuer';
import { Job } from '../../../lib/job/job';
import { keyringOf } from '../../../lib/job/record/encryption';
import { IS_ANY_BATCH_DUE } from '../../../lib/job/row/batch-settling';
import { Model } from '../../../lib/model/model';
import { threadManifest } from '../../../lib/role/app/thread-manifest';
import { threadSource } from '../../../lib/role/start/job-thread-source';
import {
  enqueuedJobs,
  performEnqueuedJobs,
  type TestJobs,
  travelBack,
  travelTo,
  useFakeJobs,
  useInlineJobs,
} from '../../../lib/testing';
import app from '../../fixtures/thread-app/app';
import Note from '../../fixtures/thread-app/models/note';
import { type JobSystem, TWO_QUEUES, useJobSystem } from '../../job/job-system';
import { until } from '../../support/until';
import { CLASSES, told } from './power-jobs';

export type Mode = 'fake' | 'inline' | 'real';

/** Where jobs of a case go. */
export interface World {
  /**
   * Performs what is due, and what that enqueues, until nothing more is, and these lines were told, and so many jobs are left. What
   * is to be retried waits for its time.
   */
  settles(lines: readonly unknown[], left?: number): Promise<void>;
  /** Lets so many minutes pass. */
  pass(minutes: number): Promise<void>;
}

type Case = (world: World) => Promise<unknown>;
/** Cases of all modes, unless one of them differs by its nature: then what it does instead. */
export type Power = (
  title: string,
  run: Case,
  differences?: { readonly [M in Mode]?: { readonly because: string; readonly run: Case } },
) => void;

const encryptionKeys = [{ id: 'a', key: randomBytes(32).toString('base64') }];
const dependencies = {
  keys: keyringOf(encryptionKeys),
  models: { get: (name: string) => (name === 'Note' ? Note : undefined), place: 'the test' },
};

/** Waits until nothing is left to do now, and a condition is true. */
export async function isIdle(system: JobSystem, condition: () => Promise<boolean> = async () => true): Promise<void> {
  await until('nothing is left to do', async () => {
    const busy = await system.postgres.query(
      `select from job_queue left join job_rates on key = limit_key
       where state in ('ready', 'running') or run_at < clock_timestamp()
         and coalesce(greatest(arrival, held_until) < clock_timestamp() + interval '1 second', true)
       union all select where ${IS_ANY_BATCH_DUE()}`,
    );
    return busy.length === 0 && (await condition());
  });
}

/** Runs the cases of `define` with fake jobs, inline jobs, or a job processor, Postgres and Redis. */
export function inModes(given: readonly Mode[], define: (power: Power) => void): void {
  describe('the powers of jobs', () => {
    const system = useJobSystem({ dependencies, empty: [told] });
    before(async () => {
      await system.postgres.query('create table notes (id serial primary key, text text)');
      Model.knex(system.database.knex);
    });
    let passed = 0;
    beforeEach(async () => {
      passed = 0;
      await system.postgres.query('truncate notes');
    });

    const real: World = {
      async pass(minutes) {
        passed += minutes;
        // Its rows become older instead.
        const earlier = (...columns: string[]) =>
          columns.map((column) => `${column} = ${column} - interval '${minutes} minutes'`).join();
        await system.postgres.query(`update job_queue set ${earlier('run_at', 'unique_until')}`);
        await system.postgres.query(`update job_rates set ${earlier('arrival', 'held_until', 'look_at')}`);
        await system.postgres.query(`update job_cron set ${earlier('settled_until')}`);
      },
      async settles(lines, left = 0) {
        const jobs = { ...TWO_QUEUES, concurrency: 4, threads: 1, encryptionKeys };
        const manifest = threadManifest(CLASSES, app, jobs) ?? assert.fail('no manifest');
        const config = { environment: 'test', databaseSchema: 'public', jobs } as const;
        await system.processor(CLASSES, {
          jobs,
          tuning: { now: () => Date.now() + passed * 60_000 },
          thread: threadSource(manifest, config, system.urls.database),
        });
        await isIdle(system, async () => {
          if ((await system.jobCount()) !== left) return false;
          assert.deepEqual(told, lines);
          return true;
        });
        await system.stopProcessors();
      },
    };
    const memory: World = {
      pass: async (minutes) => {
        travelTo(new Date(Date.now() + minutes * 60_000));
      },
      async settles(lines, left = 0) {
        // It throws the error of each job that dies.
        while (await performEnqueuedJobs({ retries: 'due' }).catch(() => true));
        assert.deepEqual([told, enqueuedJobs().length], [lines, left]);
      },
    };
    const modes: Record<Mode, World> = { fake: memory, inline: memory, real };

    for (const mode of given) {
      describe(`with ${mode} jobs`, () => {
        let jobs: TestJobs | undefined;
        beforeEach(async () => {
          if (mode === 'real')
            Job.connect(new RowEnqueuer(system.database.knex, undefined, system.events), dependencies);
          else jobs = await (mode === 'fake' ? useFakeJobs : useInlineJobs)({ models: [Note] });
        });
        afterEach(async () => {
          travelBack();
          await jobs?.restore();
        });
        define((title, run, differences = {}) => {
          const difference = differences[mode];
          if (difference) it(`${title} – but not here: ${difference.because}`, () => difference.run(modes[mode]));
          else it(title, () => run(modes[mode]));
        });
      });
    }
  });
}
