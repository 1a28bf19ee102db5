import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { showLife } from '../../../lib/job/row/rescue';
import { Database } from '../../../lib/model/database';
import { Deadline } from '../../../lib/support/deadline';
import { TcpProxy } from '../../support/tcp-proxy';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

class NoteJob extends Job {
  perform(): void {}
}

export type Interruption =
  | 'an outage of Postgres'
  | 'a lock of its tables that lasted'
  | 'a lock of the dead set that lasted'
  | 'the machine has slept'
  | 'a pause of all processes';

/** A dispatcher beside whose process another one runs a job. */
export function livingProcesses(...interruptions: readonly Interruption[]): void {
  describe('the dispatcher, beside a process that runs a job', () => {
    const system = useJobSystem();
    const SILENT_MS = 2500;
    const runningAs = (identity: string) =>
      system.postgres.query(
        `insert into job_queue (id, state, queue, class, payload, claimed_by, claimed_at)
         values (gen_random_uuid(), 'running', 'default', 'NoteJob', '{"class":"NoteJob","args":[]}', $1, now() - interval '1 hour')`,
        [identity],
      );
    const holders = async () => {
      const rows = await system.postgres.query<{ claimed_by: string }>(
        'select claimed_by from job_queue where claimed_by is not null',
      );
      return rows.map(({ claimed_by }) => claimed_by);
    };

    /** A judge that reaches Postgres through a proxy, and whose wall clock the test sets. */
    const startJudge = async (checkMs: number) => {
      const proxy = await TcpProxy.start(system.postgres.url);
      const database = new Database(proxy.url, { production: false, events: system.events, poolMax: 3 });
      const clock = { aheadMs: 0 };
      const dispatch = { lookMs: 50, overdueMs: 50, upkeepMs: 50, silentMs: SILENT_MS };
      const judge = await system.processor([NoteJob], {
        tuning: {
          dispatch: { ...dispatch, clock: { wall: () => performance.now() + clock.aheadMs, everyMs: checkMs } },
        },
        database,
      });
      judge.quiet();
      const end = async () => {
        await system.reset();
        await database.stop(Deadline.after(1000));
        await proxy.down();
      };
      return { judge, proxy, clock, end };
    };
    const pass = async (ms: number) => {
      const from = performance.now();
      await until('some time has passed', () => performance.now() - from > ms);
    };

    type Judge = Awaited<ReturnType<typeof startJudge>>;

    const lock = (tables: string) => async () => {
      const { knex } = system.database;
      await knex.transaction(async (trx) => {
        await trx.raw(`lock table ${tables} in access exclusive mode`);
        // So many that it prunes the dead set, at the end of a look.
        const died = { id: '', class: 'NoteJob', queue: 'default', attempt: 1, error: new Error('no'), reason: 'no' };
        for (let n = 0; n < 1000; n++) system.events.emit('job.dead', { ...died, args: () => [] });
        await pass(5500);
      });
      // The judge has looked by then.
      await pass(0.3 * SILENT_MS);
      await showLife(knex, 'living');
    };

    const interrupt: Readonly<Record<Interruption, (judge: Judge) => Promise<void>>> = {
      'an outage of Postgres': async ({ proxy }: Judge) => {
        await proxy.down();
        await pass(1.2 * SILENT_MS);
        await proxy.up();
      },
      'a lock of its tables that lasted': lock('job_queue, job_processes'),
      'a lock of the dead set that lasted': lock('job_dead'),
      'the machine has slept': async ({ clock }: Judge) => {
        clock.aheadMs = 3_600_000;
        // A look that had begun before would judge by the times after the sleep.
        await until('the jump is noticed', () => system.eventsNamed('clock.set').length > 0);
        await system.postgres.query(`update job_processes set seen_at = seen_at - interval '1 hour'`);
        // The judge has looked by then.
        await pass(0.3 * SILENT_MS);
      },
      'a pause of all processes': async () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.5 * SILENT_MS);
        await pass(0.3 * SILENT_MS);
      },
    };

    for (const what of interruptions)
      it(`does not take it for dead after ${what}, when it could not show itself`, async () => {
        const started = await startJudge(what === 'a pause of all processes' ? SILENT_MS / 2 : 3_600_000);
        const { judge } = started;
        const showsLife = () => showLife(system.database.knex, 'living');
        try {
          await showsLife();
          await runningAs('living');
          const from = performance.now();
          await until('it judges', async () => {
            await showsLife();
            return judge.listening === true && performance.now() - from > 1.2 * SILENT_MS;
          });
          await interrupt[what](started);
          await until('it is connected', () => judge.listening === true);
          await runningAs('dead');
          await until('the dead one is noticed', async () => {
            const isSeen = !(await holders()).includes('dead');
            await showsLife();
            return isSeen;
          });
          assert.deepEqual(await holders(), ['living']);
        } finally {
          await started.end();
        }
      });
  });
}
