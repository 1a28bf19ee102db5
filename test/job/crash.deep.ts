import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Job } from '../../lib/job/job';
import { rescue } from '../../lib/job/row/rescue';
import { until } from '../support/until';
import { BriefJob, LongJob, PoisonJob } from './child-jobs';
import { killChild, startChildProcessor } from './child-processor';
import { useJobSystem } from './job-system';
import { setSources, setsOf } from './sets/set-sources';

/** A run of five to ten seconds makes its process show itself, each five: so long may it be silent. */
const SILENT_MS = 16_000;
const TUNING = { dispatch: { silentMs: SILENT_MS, upkeepMs: 1000 } };
const ran: string[] = [];

class RescuedJob extends Job<[name: string]> {
  static override jobName = 'LongJob';

  perform(name: string): void {
    ran.push(`${name} ${this.context.attempt}`);
  }
}

/** Real processes, which are killed. processes/rescue.test.ts shows what else becomes of the jobs of a dead process. */
describe('a job processor that is killed', () => {
  const children: ChildProcess[] = [];
  const system = useJobSystem({ empty: [ran] });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** @returns the process, and the messages of its jobs so far. */
  const start = (identity: string, concurrency = 2) => {
    const child = startChildProcessor(system.urls, { lineage: { identity, dead: [] }, tuning: TUNING, concurrency });
    children.push(child);
    const held: string[] = [];
    child.on('message', (name: string) => held.push(name));
    return { child, held };
  };

  it('while Redis is down loses none of its jobs, and a live one keeps its own', async () => {
    const [living, dying] = [start('living'), start('dying')];
    for (const name of ['a', 'b', 'c', 'd']) await LongJob.performLater(name);
    await until('both children run two jobs', () => living.held.length === 2 && dying.held.length === 2);
    await system.processor([RescuedJob], { tuning: TUNING });
    await system.redisServer.kill();
    await killChild(dying.child);
    const from = performance.now();
    await until('the outage is longer than a process may be silent', () => performance.now() - from > 1.2 * SILENT_MS);
    await system.redisServer.start();
    // Either this processor or the live child rescues them, but only this one has permits for them.
    await until('the jobs of the dead child have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), dying.held.map((name) => `${name} 1`).sort(), 'no attempt is counted');
    assert.deepEqual([living.held.length, living.child.exitCode], [2, null]);
    await until("only the live child's jobs are left", async () => (await system.jobCount()) === 2);
  });

  it('by one of fifty jobs loses none of the other 49, each of which runs alone at its last delivery', async () => {
    const names = Array.from({ length: 49 }, (_, index) => `brief ${index}`);
    await BriefJob.performAllLater(names.map((name) => [name]));
    await PoisonJob.performLater();
    const said: string[][] = [];
    let generation = 0;
    const line = async (which: string): Promise<void> => {
      for (let dead = false; !dead; ) {
        const identity = `${which} ${++generation}`;
        const { child, held } = start(identity, 50);
        said.push(held);
        const exited = once(child, 'exit');
        const died = exited.then(() => true);
        const over = until('the poison job is dead', async () => (await system.deadIds()).length > 0);
        dead = !(await Promise.race([died, over.then(() => false)])) || dead;
        if (!dead) await rescue(system.database.knex, { identity });
      }
    };
    await Promise.all([line('one'), line('other')]);
    // One whose outcome was on its way to Postgres when its process died has ended twice.
    const ends = () => new Set(said.flat().filter((text) => text.endsWith('ends')));
    await until('all others have ended', () => ends().size === names.length);
    assert.deepEqual([...ends()].sort(), names.map((name) => `${name} ends`).sort());
    const { entries } = await setsOf(setSources(system)).dead.page();
    assert.deepEqual(
      entries.map((entry) => [entry.class, entry.reason]),
      [['PoisonJob', 'the process died, or stalled, 3 times while it ran this job']],
    );
  });

  it('keeps its job while it lives, although its clock was set back', async () => {
    const now = Date.now;
    let isHeld = true;
    class HeldJob extends Job {
      async perform(): Promise<void> {
        await until('it may end', () => !isHeld);
      }
    }
    /** At each look another one runs beside it. */
    class ShortJob extends Job {
      async perform(): Promise<void> {
        const from = performance.now();
        await until('half a second has passed', () => performance.now() - from > 500);
        if (isHeld) await ShortJob.performLater();
      }
    }
    await system.processor([HeldJob, ShortJob], { lineage: { identity: 'living', dead: [] } });
    await HeldJob.performLater();
    await ShortJob.performLater();
    await until(
      'it runs',
      async () => (await system.postgres.query(`select from job_queue where state = 'running'`)).length,
    );
    Date.now = () => now() - 3_600_000;
    try {
      await until(
        'it shows that it lives',
        async () => (await system.postgres.query('select from job_processes')).length,
      );
    } finally {
      Date.now = now;
      isHeld = false;
    }
    await until('the job has ended', async () => (await system.jobCount()) === 0);
  });
});
