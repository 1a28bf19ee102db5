import assert from 'node:assert/strict';
import { HeartbeatRegistry } from '../../../lib/core/heartbeat-registry';
import type { RedisClient } from '../../../lib/core/redis';
import type { BeeConnection } from '../../../lib/job/fetch/consumer';
import type { Delivery } from '../../../lib/job/fetch/fetch-call';
import { Job } from '../../../lib/job/job';
import { PROCESS_KEYS } from '../../../lib/job/processes/process-list';
import { rescueOrphans } from '../../../lib/job/processes/rescue';
import type { ProcessorTuning } from '../../../lib/job/processor';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { PROCESSES, processKey } from '../../../lib/job/hint/keys';
import { newRecord } from '../../../lib/job/record/record';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { connectBee } from '../fetch/adapter-stage';
import { HandmadeProcess } from '../fetch/handmade-process';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';

const QUEUES = ['default', 'mailer'];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const UNRESPONSIVE_MS = 500;
/** Judges decide soon, and no stall check can bring jobs back instead. */
const JUDGE: ProcessorTuning = { heartbeatMs: 100, infoMs: 100, unresponsiveMs: UNRESPONSIVE_MS, stallInterval: HOUR };

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
  let command: BeeConnection;
  before(async () => {
    system = await JobSystem.start();
    ({ client } = system.redis);
    command = await connectBee(system.redisServer.url);
  });
  after(async () => {
    gate.open();
    command.end();
    await system.stop();
  });
  beforeEach(async () => {
    gate.close();
    await system.reset();
    ran.length = 0;
  });

  /** Another process, as Redis sees it. */
  const process = (identity: string) => new HandmadeProcess(command, identity, QUEUES);
  const enqueue = async (...ids: string[]) => {
    const record = (id: string) => newRecord(JSON.stringify({ v: 1, class: 'NamedJob', args: [id], attrs: {} }));
    await dispatch(
      client,
      ids.map((id) => ({ id, queue: 'default', record: record(id) })),
    );
  };
  const heldBy = async (identity: string, ...ids: string[]) => {
    await enqueue(...ids);
    return process(identity).fetch(ids.length);
  };
  /** The time by Redis's clock, ms. */
  const now = async () => Number((await client.time())[0]) * 1000;
  const lastHeardOf = async (identity: string, agoMs: number) =>
    client.zAdd(PROCESSES, { value: identity, score: (await now()) - agoMs });
  const counted = (deliveries: readonly Delivery[]) => deliveries.map(({ id, deliveries: count }) => `${id} ${count}`);
  const rescued = () => system.eventsNamed('processor.rescued').map(({ identity }) => identity);

  it('run next, in order, with their deliveries counted, since one of them may have killed the process', async () => {
    await enqueue('a', 'b', 'c', 'd');
    await process('dead').fetch(2);
    const back = await rescueOrphans(client, 'dead', QUEUES);
    assert.deepEqual(back?.map(({ id, queue }) => `${queue} ${id}`).sort(), ['default a', 'default b']);
    assert.deepEqual(counted(await process('other').fetch(4)), ['a 2', 'b 2', 'c 1', 'd 1']);
  });

  it('are not those of another process with a similar name', async () => {
    await heldBy('tree-1', 'a');
    await heldBy('tree-10', 'b');
    await heldBy('a-tree-1', 'c');
    assert.deepEqual(await rescueOrphans(client, 'tree-1', QUEUES), [{ queue: 'default', id: 'a' }]);
  });

  it('are rescued once, and only if the process is still silent', async () => {
    await heldBy('silent', 'a');
    const attempt = () => rescueOrphans(client, 'silent', QUEUES, HOUR);
    await lastHeardOf('silent', 59 * MINUTE);
    assert.equal(await attempt(), undefined, 'the process is alive');
    assert.equal(await client.lLen('bq:default:active'), 1);
    await lastHeardOf('silent', 61 * MINUTE);
    assert.deepEqual(await attempt(), [{ queue: 'default', id: 'a' }]);
    assert.equal(await attempt(), undefined, 'they were rescued before');
    assert.equal(await client.zCard(PROCESSES), 0);
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
    await heldBy('first', 'a', 'b');
    await heldBy('neighbour', 'c', 'd');
    const lineage = { identity: 'second', dead: ['first'] };
    await system.processor([NamedJob], { tuning: { stallInterval: HOUR }, lineage });
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['a 1', 'b 1'], 'no attempt is counted');
    // The outcome of a job reaches Redis after it has run.
    await until("Redis has only the neighbour's jobs", async () => {
      assert.deepEqual((await client.lRange('bq:default:active', 0, -1)).sort(), ['c', 'd']);
      return true;
    });
    assert.equal(system.eventsNamed('job.rescued').length, 2);
  });

  it('are run by one of several judges, and end like any other, from the outbox or not', async () => {
    const judges = [
      await system.processor([NamedJob], { tuning: JUDGE }),
      await system.processor([NamedJob], { tuning: JUDGE }),
    ];
    for (const judge of judges) judge.quiet();
    await transaction(() => NamedJob.performLater('from the outbox'));
    await NamedJob.performLater('straight');
    await until('both jobs wait', async () => (await client.lLen('bq:default:waiting')) === 2);
    await process('silent').fetch(2);
    await client.set(processKey('silent'), JSON.stringify({ identity: 'silent', queues: QUEUES, host: 'far', pid: 7 }));
    await lastHeardOf('silent', HOUR);
    await heldBy('living', 'not to be touched');
    await lastHeardOf('living', -HOUR);
    await until('both jobs are rescued', () => system.eventsNamed('job.rescued').length === 2);
    for (const judge of judges) judge.resume();
    await until('both jobs have run', () => ran.length === 2);
    assert.deepEqual(ran.sort(), ['from the outbox 1', 'straight 1']);
    assert.deepEqual(system.eventsNamed('processor.rescued'), [
      { identity: 'silent', host: 'far', pid: 7, heartbeatAgeMs: UNRESPONSIVE_MS, jobs: 2 },
    ]);
    await until('the outbox is empty', async () => (await system.jobCount()) === 0);
    await until("Redis has only the live process's job", async () => {
      assert.deepEqual(await client.lRange('bq:default:active', 0, -1), ['not to be touched']);
      return true;
    });
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
    await transaction(() => BlockingJob.performAllLater(Array.from({ length: count }, () => [])));
    await until('there were several heartbeats, or all jobs have run', async () => {
      return heartbeats.length === count || new Set(await Promise.all(heartbeats)).size > 5;
    });
    processor.quiet();
    assert.ok(heartbeats.length < count, 'there was no heartbeat in between');
  });

  it('run, except for one that has killed three processes, which is dead', async () => {
    await heldBy('first', 'poison', 'neighbour');
    await rescueOrphans(client, 'first', QUEUES);
    for (const victim of ['second', 'third']) {
      await process(victim).fetch(1);
      await rescueOrphans(client, victim, QUEUES);
    }
    await system.processor([NamedJob], { tuning: JUDGE });
    const { id, reason } = await until('the poison job is dead', () => system.eventsNamed('job.dead')[0]);
    assert.deepEqual([id, reason], ['poison', 'the process died, or stalled, 3 times while it ran this job']);
    await until('the neighbour has run', () => ran.length === 1);
    await until('the poison job is in Postgres', async () => (await system.deadIds()).join() === 'poison');
  });

  it('are returned by the stall check at the latest, which leaves long-running jobs alone', async () => {
    await system.processor([HeldJob, NamedJob], { tuning: { stallInterval: 100 } });
    await HeldJob.performLater();
    await until('the long job is running', () => gate.held === 1);
    for (const orphan of ['a', 'b', 'c']) {
      // Redis knows neither a process nor a delivery of this job.
      await client.hSet('bq:default:jobs', orphan, newRecord(JSON.stringify({ class: 'NamedJob', args: [orphan] })));
      await client.lPush('bq:default:active', orphan);
      await until(`${orphan} came back`, () => ran.includes(`${orphan} 1`));
    }
    gate.open();
    await until('all jobs have ended', () => system.eventsNamed('job.succeeded').length === 4);
    assert.deepEqual(ran, ['held', 'a 1', 'b 1', 'c 1']);
    assert.deepEqual(
      system.eventsNamed('job.rescued').map(({ id }) => id),
      ['a', 'b', 'c'],
    );
  });
});
