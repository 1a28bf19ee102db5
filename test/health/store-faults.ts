import assert from 'node:assert/strict';
import path from 'node:path';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { Clock } from '../chaos/scene/clock';
import { ChaosPostgres } from '../chaos/scene/postgres';
import { statsOf } from '../cluster/primary/operator';
import { buildFixtureApp } from '../support/fixture-app';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { type Fault, FaultyTree } from './faulty-tree';

const stalled = (words: RegExp): Pick<Fault, 'ready' | 'log' | 'codes'> => ({
  ready: new RegExp(`"jobs":"stalled".*${words.source}`),
  log: new RegExp(`stands still.*${words.source}`),
  codes: ['stalled'],
});

const HOUR_MS = 3_600_000;

/** A job that is scheduled for long after the test. @param length of its payload. */
const filler = (length: number) => `insert into job_queue (id, state, queue, class, payload, run_at)
  values (gen_random_uuid(), 'scheduled', 'default', 'FillerJob', to_json(repeat('x', ${length})), '2100-01-01')`;

/** Inserts until the disk of Postgres has no space left. */
export async function untilFull({ database }: FaultyTree): Promise<void> {
  for (const length of [1500, 1]) await insertUntilFull(database, filler(length));
}

async function insertUntilFull(database: FaultyTree['database'], insert: string): Promise<void> {
  for (;;) {
    const error = await database.query(insert).then(
      () => undefined,
      (thrown: Error & { readonly code?: string }) => thrown,
    );
    if (error?.code === '53100') return;
    if (error) throw error;
  }
}

/**
 * More causes, which need special servers or trees; the others are in standstills.ts.
 * @param promisedS time within which each must be reported, s; default: not asserted.
 */
export function storeFaults(promisedS?: number): void {
  const told = promisedS === undefined ? 'reported' : `reported within ${promisedS} s`;
  const assertPromised = (name: string, ms: number) =>
    assert.ok(ms / 1000 <= (promisedS ?? Number.POSITIVE_INFINITY), `${name} was reported after ${ms / 1000} s`);

  describe(`standstills with special stores: each is ${told} with its cause, and clears with it, when`, () => {
    let faulty: FaultyTree | undefined;
    const reports = async (injection: Fault) =>
      assertPromised(injection.name, await (faulty ?? assert.fail()).reports(injection));
    afterEach(async () => {
      await faulty?.remove();
      faulty = undefined;
    });

    it('the disk of Postgres is full, or the standby that every COMMIT waits for has fallen behind', async () => {
      const entry = await buildFixtureApp('jobs-app');
      const postgres = await ChaosPostgres.make({ connections: 40, migrated: false, walApart: true });
      faulty = await FaultyTree.make({ entry, postgres });
      await reports({
        name: 'standby',
        inject: async () => {
          await postgres.administer(`alter system set synchronous_standby_names = 'standby'`);
          await postgres.administer('select pg_reload_conf()');
          return async () => {
            await postgres.administer('alter system reset synchronous_standby_names');
            await postgres.administer('select pg_reload_conf()');
          };
        },
        ...stalled(/(fetching jobs|looking for jobs that are due|enqueuing recurring jobs) stands still/),
        log: /(fetching jobs|looking for jobs that are due|enqueuing recurring jobs) stands still/,
      });
      await reports({
        name: 'disk',
        inject: async (tree) => {
          // An open snapshot keeps vacuum from reusing the space of finished jobs' rows.
          const letGo = await tree.lock('set transaction isolation level repeatable read; select 1');
          postgres.disk.fill();
          await untilFull(tree);
          return async () => {
            postgres.disk.free();
            await letGo();
            await tree.database.query(`delete from job_queue where class = 'FillerJob'`);
          };
        },
        ...stalled(/the disk of Postgres is full/),
      });
    });

    it('the job processor whose dispatcher leads is frozen; meanwhile that of another tree leads, and its jobs run', async () => {
      faulty = await FaultyTree.make();
      const { tree, sink, database } = faulty;
      const other = await faulty.another();
      const listener = new Client({ connectionString: database.url });
      let leader = '';
      listener.on('notification', ({ payload = '' }) => {
        leader = payload.split(' ')[0] || leader;
      });
      await listener.connect();
      await listener.query(`LISTEN ${TABLES.leaderChannel}`);
      const leads = async (one: Tree) => (await statsOf(one)).job_processor.identity === leader;
      const pidOf = (one: Tree) => one.processes().jobs ?? assert.fail('it has no job processor');
      try {
        // The tree that started last leads. While it is frozen, this one takes over.
        process.kill(pidOf(other), 'SIGSTOP');
        await faulty.signUp();
        await until('this tree leads', () => leads(tree));
        process.kill(pidOf(other), 'SIGCONT');
        await sink.waitFor(1);
        await reports({
          name: 'leader',
          inject: async () => {
            process.kill(pidOf(tree), 'SIGSTOP');
            await faulty?.signUp();
            return async () => {
              await sink.waitFor(2);
              // A dispatcher that has just been unfrozen may have to reconnect before it announces that it leads.
              await until('the other tree leads', () => leads(other));
              process.kill(pidOf(tree), 'SIGCONT');
            };
          },
          ...stalled(/does not answer/),
          codes: ['jobsUnresponsive'],
        });
      } finally {
        await listener.end();
      }
    });
  });

  describe(`standstills: a clock that is changed is ${told}`, () => {
    it('when it is set forward and when it is set back, and nothing stalls', async () => {
      const folder = tempFolder('clock');
      const clock = new Clock(path.join(folder, 'offset'));
      const faulty = await FaultyTree.make({ env: clock.env });
      try {
        let mails = 0;
        for (const [ms, way] of [
          [2 * HOUR_MS, 'forward'],
          [0, 'back'],
        ] as const) {
          const from = faulty.tree.lines.length;
          clock.set(ms);
          const set = performance.now();
          await faulty.tree.waitForLine(new RegExp(`the clock was set ${way} by 2 h`), { from });
          assertPromised('a clock', performance.now() - set);
          await faulty.signUp();
          await faulty.sink.waitFor(++mails);
          assert.ok(await faulty.isWell(), await faulty.readyBody());
          const codes = await faulty.codesOnOps();
          assert.deepEqual(
            codes.filter((code) => /stalled|unresponsive|away/i.test(code)),
            [],
          );
        }
      } finally {
        await faulty.remove();
        removeFolder(folder);
      }
    });
  });
}
