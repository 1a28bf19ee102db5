import assert from 'node:assert/strict';
import { HeartbeatRegistry } from '../../../lib/core/heartbeat-registry';
import type { RedisClient } from '../../../lib/core/redis';
import { PROCESSES, processKey } from '../../../lib/job/hint/keys';
import { Job } from '../../../lib/job/job';
import { PROCESS_KEYS } from '../../../lib/job/processes/process-list';
import type { ProcessorTuning } from '../../../lib/job/processor';
import { claim, rescue, showLife } from '../../../lib/job/row/claim';
import { readInstallation } from '../../../lib/job/row/installation';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const QUEUES = ['default', 'mailer'];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const UNRESPONSIVE_MS = 500;
/** Judges decide soon, and no dispatcher rescues jobs instead. */
const JUDGE: ProcessorTuning = {
  heartbeatMs: 100,
  infoMs: 100,
  unresponsiveMs: UNRESPONSIVE_MS,
  dispatch: { silentMs: 2 * HOUR },
};

const ran: string[] = [];
const gate = new Gate();

class NamedJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(`${name} ${this.context.attempt}`);
  }
}

class HeldJob extends Job {
  async perform(): Promise<void> {
    ran.push('held');
    await gate.pass();
  }
}

describe('the jobs of a dead or silent process', () => {
  let system: JobSystem;
  let client: RedisClient;
  let origin: string;
  before(async () => {
    system = await JobSystem.start();
    ({ client } = system.redis);
    origin = (await readInstallation(system.database.knex)).here;
  });
  after(async () => {
    gate.open();
    await system.stop();
  });
  beforeEach(async () => {
    gate.close();
    await system.reset();
    ran.length = 0;
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
    const rows = await system.postgres.query<{ run: string }>(
      'select run from job_queue where run is not null order by run',
    );
    return rows.map(({ run }) => run);
  };
  /** The time by Redis's clock, ms. */
  const now = async () => Number((await client.time())[0]) * 1000;
  const lastHeardOf = async (identity: string, agoMs: number) =>
    client.zAdd(PROCESSES, { value: identity, score: (await now()) - agoMs });
  const rescued = () => system.eventsNamed('processor.rescued').map(({ identity }) => identity);

  it('are rescued only if the process is silent, and was when it claimed them', async () => {
    await heldBy('silent', ['a', 'b']);
    await heldBy('silent', ['c'], 0);
    await heldBy('living', ['d']);
    await showLife(system.database.knex, 'living');
    const rescuedJobs = await rescue(system.database.knex, { silentMs: MINUTE });
    assert.deepEqual(
      rescuedJobs.map(({ identity }) => identity),
      ['silent', 'silent'],
    );
    assert.deepEqual(await holders(), ['living', 'silent']);
  });

  describe('are found by a judge', () => {
    const heartbeat = async (last: { readonly now: number; readonly since: number } | undefined) => {
      await client.del(PROCESSES);
      await lastHeardOf('silent', 61 * MINUTE);
      await lastHeardOf('slow', 59 * MINUTE);
      const judging = { last, gapMs: 10 * MINUTE, unresponsiveMs: HOUR };
      return new HeartbeatRegistry(client, PROCESS_KEYS).heartbeat('judge', { ttlS: 30, judging });
    };
    const MOMENT = 1000;

    it('that has been connected for the whole time of silence', async () => {
      const from = await now();
      const reply = await heartbeat({ now: from - MOMENT, since: from - 2 * HOUR });
      assert.deepEqual([reply.unresponsive, reply.since], [['silent'], from - 2 * HOUR]);
    });

    it('that may rest until the next process would be silent for too long', async () => {
      const from = await now();
      await client.zAdd(PROCESSES, { value: 'slow', score: from - 59 * MINUTE });
      const judging = { last: undefined, gapMs: 10 * MINUTE, unresponsiveMs: HOUR };
      const registry = new HeartbeatRegistry(client, PROCESS_KEYS);
      const reply = await registry.heartbeat('judge', { ttlS: 30, judging, aheadMs: 5 * MINUTE });
      assert.equal(reply.now + reply.expiresMs, from + MINUTE);
    });

    for (const [who, nowAgo, sinceAgo] of [
      ['has been connected for less time', MOMENT, 50 * MINUTE],
      ['was itself disconnected meanwhile', 11 * MINUTE, 2 * HOUR],
      ['finds that the clock was set back', -MINUTE, 2 * HOUR],
    ] as const) {
      it(`but not by one that ${who}`, async () => {
        const from = await now();
        const reply = await heartbeat({ now: from - nowAgo, since: from - sinceAgo });
        assert.deepEqual(reply.unresponsive, []);
        // A judge that was disconnected starts to count anew.
        assert.equal(reply.since, nowAgo === MOMENT ? from - sinceAgo : reply.now);
      });
    }

    it('but not by one that has just connected', async () => {
      const reply = await heartbeat(undefined);
      assert.deepEqual([reply.unresponsive, reply.since], [[], reply.now]);
    });
  });

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

  it('are rescued by one of several judges, and end like any other', async () => {
    const judges = [
      await system.processor([NamedJob], { tuning: JUDGE }),
      await system.processor([NamedJob], { tuning: JUDGE }),
    ];
    for (const judge of judges) judge.quiet();
    await heldBy('silent', ['a', 'b']);
    await client.set(processKey('silent'), JSON.stringify({ identity: 'silent', queues: QUEUES, host: 'far', pid: 7 }));
    await lastHeardOf('silent', HOUR);
    await heldBy('living', ['not to be touched']);
    await lastHeardOf('living', -HOUR);
    await until('both jobs are rescued', () => system.eventsNamed('job.rescued').length === 2);
    for (const judge of judges) judge.resume();
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['a 1', 'b 1']);
    assert.deepEqual(system.eventsNamed('processor.rescued'), [
      { identity: 'silent', host: 'far', pid: 7, heartbeatAgeMs: UNRESPONSIVE_MS, jobs: 2 },
    ]);
    await until("only the live process's job is left", async () => (await system.jobCount()) === 1);
    assert.deepEqual(await holders(), ['living']);
  });

  it('are rescued by one that serves none of their queues and has nothing to do', async () => {
    const queues = [{ name: 'other', weight: 1 }];
    await system.processor([NamedJob], { tuning: { ...JUDGE, heartbeatMs: 50, idleAfterMs: 0 }, jobs: { queues } });
    await until('it rests', async () => {
      const [resting] = await client.zRangeWithScores(PROCESSES, 0, 0);
      return resting && resting.score > Date.now() + 50;
    });
    await heldBy('silent', ['a']);
    await lastHeardOf('silent', MINUTE);
    await until('the job is rescued', () => system.eventsNamed('job.rescued').length === 1);
    assert.deepEqual(await holders(), []);
  });

  it('are rescued later when Postgres refuses it at first', async () => {
    (await system.processor([NamedJob], { tuning: JUDGE })).quiet();
    await heldBy('silent', ['a']);
    await system.postgres.query('alter table job_queue add constraint refused check (run is not null)');
    try {
      await lastHeardOf('silent', MINUTE);
      await until('it was refused', () => system.eventsNamed('queue.error').length > 0);
    } finally {
      await system.postgres.query('alter table job_queue drop constraint refused');
    }
    await until('the job is rescued', () => system.eventsNamed('job.rescued').length === 1);
    assert.deepEqual(
      system.eventsNamed('processor.rescued').map(({ identity, jobs }) => [identity, jobs]),
      [['silent', 1]],
    );
  });

  it('of all that have died are rescued by a successor at once, although Redis refuses to take them off its list', async () => {
    await heldBy('first', ['a']);
    await heldBy('second', ['b']);
    await client.set(PROCESSES, 'no list');
    const lineage = { identity: 'third', dead: ['first', 'second'] };
    await system.processor([NamedJob], { lineage, tuning: { dispatch: { silentMs: 2 * HOUR } } });
    await until('both jobs have run', () => ran.length === 2);
  });

  it('are rescued by a dispatcher when Redis is not there to show who is silent', async () => {
    await heldBy('silent', ['a']);
    await heldBy('living', ['b']);
    await showLife(system.database.knex, 'living');
    await system.redisServer.kill();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    await system.processor([NamedJob], { tuning: { dispatch: { silentMs: MINUTE, upkeepMs: 50, lookMs: 50 } } });
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(ran, ['a 1']);
    await until("only the live process's job is left", async () => (await system.jobCount()) === 1);
    assert.deepEqual(await holders(), ['living']);
  });

  it('are not taken from a live process because Redis was frozen', async () => {
    await system.processor([HeldJob], { tuning: JUDGE, lineage: { identity: 'living', dead: [] } });
    await HeldJob.performLater();
    await until('the live process runs its job', () => gate.held === 1);
    (await system.processor([HeldJob], { tuning: JUDGE, lineage: { identity: 'judge', dead: [] } })).quiet();
    const judged = async (name: string) => {
      await lastHeardOf(name, HOUR);
      await until(`${name} is rescued`, () => rescued().includes(name));
    };
    await judged('dead before');
    const from = performance.now();
    system.redisServer.pause();
    await until(
      'Redis was frozen for longer than a process may be silent',
      () => performance.now() - from > 1.2 * UNRESPONSIVE_MS,
    );
    system.redisServer.resume();
    await judged('dead after');
    assert.deepEqual([rescued(), ran], [['dead before', 'dead after'], ['held']]);
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
      tuning: { ...JUDGE, heartbeatMs: 10, unresponsiveMs: HOUR },
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

  it('run, except for one that has killed three processes, which is dead', async () => {
    const { knex } = system.database;
    const [poison = ''] = await heldBy('first', ['poison']);
    await rescue(knex, { identity: 'first' });
    for (const identity of ['second', 'third']) {
      assert.equal((await claim(knex, { identity, origin }, { ids: [poison] })).length, 1);
      await rescue(knex, { identity });
    }
    await NamedJob.performLater('neighbour');
    await system.processor([NamedJob]);
    const { id, reason } = await until('the poison job is dead', () => system.eventsNamed('job.dead')[0]);
    assert.deepEqual([id, reason], [poison, 'the process died, or stalled, 3 times while it ran this job']);
    await until('the neighbour has run', () => ran.length === 1);
    await until('the poison job is in the dead set', async () => (await system.deadIds()).join() === poison);
  });
});
