import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import type { ProcessorTuning } from '../../../lib/job/processor';
import { claim } from '../../../lib/job/row/claim';
import { readInstallation } from '../../../lib/job/row/installation';
import { showLife } from '../../../lib/job/row/rescue';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Who is silent is found out soon. */
const SOON: ProcessorTuning = { dispatch: { silentMs: 500, upkeepMs: 50, lookMs: 50 } };

const ran: string[] = [];

class NamedJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(`${name} ${this.context.attempt}`);
  }
}

describe('the jobs of a dead or silent process', () => {
  let origin: string;
  const system = useJobSystem({ empty: [ran] });
  before(async () => {
    origin = (await readInstallation(system.database.knex)).here;
  });

  /** Jobs that another process has claimed, `agoMs` ago. @returns their ids. */
  const heldBy = async (identity: string, names: readonly string[], agoMs = HOUR) => {
    const jobs = await NamedJob.performAllLater(names.map((name) => [name]));
    const ids = jobs.map(({ id }) => id);
    const { length } = await claim(system.database.knex, { identity, origin }, { ids });
    assert.equal(length, names.length);
    await system.postgres.query(
      `update job_queue set claimed_at = now() - $1 * interval '1 millisecond' where id = any($2)`,
      [agoMs, ids],
    );
    return ids;
  };
  const holders = async () => {
    const rows = await system.postgres.query<{ claimed_by: string }>(
      'select claimed_by from job_queue where claimed_by is not null order by claimed_by',
    );
    return rows.map(({ claimed_by }) => claimed_by);
  };

  it('are run at once by its successor, while those of a neighbour stay with it', async () => {
    await heldBy('first', ['a', 'b']);
    await heldBy('neighbour', ['c', 'd']);
    const lineage = { identity: 'second', dead: ['first'] };
    await system.processor([NamedJob], { lineage, tuning: { dispatch: { silentMs: 2 * HOUR } } });
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['a 1', 'b 1'], 'no attempt is counted');
    await until("only the neighbour's jobs are left", async () => (await system.jobCount()) === 2);
    assert.deepEqual(await holders(), ['neighbour', 'neighbour']);
    assert.equal(system.eventsNamed('job.rescued').length, 2);
  });

  it('are rescued by one of several dispatchers, and end like any other', async () => {
    const processors = [
      await system.processor([NamedJob], { tuning: SOON }),
      await system.processor([NamedJob], { tuning: SOON }),
    ];
    for (const processor of processors) processor.quiet();
    await heldBy('silent', ['a', 'b']);
    await heldBy('living', ['not to be touched']);
    await until('both jobs are rescued', async () => {
      await showLife(system.database.knex, 'living');
      return system.eventsNamed('job.rescued').length === 2;
    });
    assert.deepEqual(
      system.eventsNamed('job.rescued').map(({ identity }) => identity),
      ['silent', 'silent'],
    );
    for (const processor of processors) processor.resume();
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['a 1', 'b 1']);
    await until("only the live process's job is left", async () => (await system.jobCount()) === 1);
    assert.deepEqual(await holders(), ['living']);
  });

  it('of all that have died are rescued by a successor at once', async () => {
    await heldBy('first', ['a']);
    await heldBy('second', ['b']);
    const lineage = { identity: 'third', dead: ['first', 'second'] };
    await system.processor([NamedJob], { lineage, tuning: { dispatch: { silentMs: 2 * HOUR } } });
    await until('both jobs have run', () => ran.length === 2);
  });

  it('are found soon by a dispatcher that has nothing else to do', async () => {
    const { knex } = system.database;
    let looks = 0;
    const note = ({ sql }: { readonly sql: string }) => {
      if (sql.endsWith('as exists')) looks++;
    };
    const dispatch = { lookMs: HOUR, overdueMs: 150, silentMs: 300, upkeepMs: 100 };
    const processor = await system.processor([NamedJob], { tuning: { dispatch } });
    processor.quiet();
    await until('its first looks are over', () => processor.listening && processor.progress.dispatch?.owedMs === 0);
    knex.on('query', note);
    try {
      const [id] = await heldBy('silent', ['a'], -HOUR);
      await until('a look has found that it runs', () => looks > 0);
      await system.postgres.query(`update job_queue set claimed_at = now() - interval '1 hour' where id = $1`, [id]);
    } finally {
      knex.off('query', note);
    }
    await until('the job is rescued', () => system.eventsNamed('job.rescued').length === 1);
  });

  it('leave their process time to show that it lives, although they block its event loop in turns', async () => {
    const turns = new Set<number>();
    let turn = 0;
    let runs = 0;
    class BlockingJob extends Job {
      perform(): void {
        runs++;
        turns.add(turn);
        const end = performance.now() + 30;
        while (performance.now() < end);
      }
    }
    const processor = await system.processor([BlockingJob], { jobs: { concurrency: 1 } });
    const count = 200;
    const timer = setInterval(() => turn++, 10);
    try {
      await BlockingJob.performAllLater(Array.from({ length: count }, () => []));
      await until('timers fired in between, or all jobs have run', () => runs === count || turns.size > 5);
    } finally {
      clearInterval(timer);
    }
    processor.quiet();
    assert.ok(runs < count, 'no timer fired in between');
  });

  it('wait while their successor is quiet, as its predecessor was, until it is resumed', async () => {
    const lineage = { identity: 'second', dead: ['first'], quiet: true };
    await heldBy('first', ['a']);
    const processor = await system.processor([NamedJob], { tuning: { infoMs: 60 }, lineage });
    assert.ok(processor.snapshot().quiet);
    await until('the job is returned to its queue', () => system.eventsNamed('job.rescued').length === 1);
    await NamedJob.performLater('while quiet');
    await until('it has seen that they wait', () => processor.waiting.some(({ queue }) => queue === 'default'));
    assert.deepEqual([await system.jobCount(), ran], [2, []]);
    processor.resume();
    await until('both jobs have run', () => ran.length === 2);
  });
});
