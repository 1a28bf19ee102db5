import assert from 'node:assert/strict';
import type { RedisClient } from '../../../lib/core/redis';
import { PROCESSES } from '../../../lib/job/hint/keys';
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
  let client: RedisClient;
  let origin: string;
  const system = useJobSystem({ empty: [ran] });
  before(async () => {
    ({ client } = system.redis);
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

  it('of all that have died are rescued by a successor at once, although Redis refuses to take them off its list', async () => {
    await heldBy('first', ['a']);
    await heldBy('second', ['b']);
    await client.set(PROCESSES, 'no list');
    const lineage = { identity: 'third', dead: ['first', 'second'] };
    await system.processor([NamedJob], { lineage, tuning: { dispatch: { silentMs: 2 * HOUR } } });
    await until('both jobs have run', () => ran.length === 2);
  });

  it('are found soon by a dispatcher that has nothing else to do', async () => {
    const { knex } = system.database;
    let looks = 0;
    const note = ({ sql }: { readonly sql: string }) => {
      if (/exists \(select from job_queue where state = 'running'\)/.test(sql)) looks++;
    };
    const dispatch = { lookMs: HOUR, overdueMs: 50, silentMs: 300, upkeepMs: 100 };
    (await system.processor([NamedJob], { tuning: { dispatch } })).quiet();
    await heldBy('silent', ['a']);
    knex.on('query', note);
    try {
      await until('a look has found that it runs', async () => {
        await showLife(knex, 'silent');
        return looks > 0;
      });
    } finally {
      knex.off('query', note);
    }
    await until('the job is rescued', () => system.eventsNamed('job.rescued').length === 1);
  });

  it('are not taken from a process whose jobs block its event loop in turns, since it sends heartbeats in between', async () => {
    const heartbeats: Promise<number | null>[] = [];
    class BlockingJob extends Job {
      perform(): void {
        // This reads on the connection of the heartbeats, after those that were sent.
        heartbeats.push(client.zScore(PROCESSES, 'blocked'));
        const end = performance.now() + 30;
        while (performance.now() < end);
      }
    }
    const options = {
      tuning: { heartbeatMs: 10, infoMs: 100 },
      lineage: { identity: 'blocked', dead: [] },
    };
    const processor = await system.processor([BlockingJob], { ...options, jobs: { concurrency: 1 } });
    await until('the processor is listed', async () => (await client.zCard(PROCESSES)) === 1);
    const count = 200;
    await BlockingJob.performAllLater(Array.from({ length: count }, () => []));
    await until('there were several heartbeats, or all jobs have run', async () => {
      return heartbeats.length === count || new Set(await Promise.all(heartbeats)).size > 5;
    });
    processor.quiet();
    assert.ok(heartbeats.length < count, 'there was no heartbeat in between');
  });
});
