import assert from 'node:assert/strict';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import { Job } from '../../lib/job/job';
import { rescueOrphans } from '../../lib/job/processes/rescue';
import { dispatch } from '../../lib/job/queue/dispatch';
import { readKnownQueues } from '../../lib/job/queue/queue-status';
import { newRecord } from '../../lib/job/record/record';
import { transaction } from '../../lib/model/transaction';
import { startTestRedis, type TestRedis } from '../support/redis';
import { tell } from '../support/replicated-redis';
import { until } from '../support/until';
import { Gate } from './gate';
import { JobSystem } from './job-system';
import { setSources } from './sets/set-sources';

const QUEUES = ['default', 'mailer'] as const;
const gate = new Gate();
const ran: string[] = [];

class NamedJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

class HeldJob extends Job<[name: string]> {
  async perform(name: string): Promise<void> {
    await gate.pass(this.context.signal);
    ran.push(name);
  }
}

class FailingJob extends Job<[name: string]> {
  perform(_name: string): void {
    throw new Error('as it should');
  }
}

const CLASSES = [NamedJob, HeldJob, FailingJob];

describe('queues on Redis servers of their own', () => {
  let system: JobSystem;
  let mails: TestRedis;
  before(async () => {
    mails = await startTestRedis('--appendfsync', 'always');
    system = await JobSystem.start({}, { redisShards: { mailer: mails.url } });
  });
  after(async () => {
    await system.stop();
    await mails.remove();
  });
  beforeEach(async () => {
    await system.reset();
    await tell(mails, ['FLUSHALL']);
    ran.length = 0;
    gate.close();
  });

  const inRedis = async (server: TestRedis, key: string) => ((await tell(server, ['EXISTS', key])) as number) === 1;
  const admin = () => new JobAdmin(setSources(system));
  const haveRun = (...names: string[]) =>
    until(`${names} have run`, () => names.every((name) => ran.includes(name))).then(() =>
      assert.deepEqual([...ran].sort(), [...names].sort(), 'each has run once'),
    );
  const record = (name: string, type = 'NamedJob') =>
    newRecord(JSON.stringify({ v: 1, class: type, args: [name], attrs: {} }));

  it('have their jobs on that server only, whether enqueued directly or through the outbox', async () => {
    await NamedJob.set({ queue: 'mailer' }).performLater('straight');
    assert.ok(await inRedis(mails, 'bq:mailer:waiting'));
    await system.processor(CLASSES);
    await transaction(async () => {
      await NamedJob.set({ queue: 'mailer' }).performLater('committed');
      await NamedJob.performLater('of another queue');
    });
    await haveRun('straight', 'committed', 'of another queue');
    assert.equal(await inRedis(system.redisServer, 'bq:mailer:jobs'), false);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  });

  it('share the permits of a processor', async () => {
    await system.processor(CLASSES);
    for (const [index, queue] of [...QUEUES, ...QUEUES].entries())
      await HeldJob.set({ queue }).performLater(`${queue} ${index}`);
    await until('two jobs are running', () => gate.held === 2);
    await NamedJob.set({ queue: 'mailer' }).performLater('later');
    assert.equal(gate.held, 2);
    gate.open();
    await haveRun('default 0', 'mailer 1', 'default 2', 'mailer 3', 'later');
  });

  it('wait for a server that is frozen, and queues on other servers do not', async () => {
    // A call that asks the frozen server for jobs is in flight at once, and holds the other permit.
    await system.processor(CLASSES, { tuning: { pollMs: 20 } });
    await HeldJob.set({ queue: 'mailer' }).performLater('running there');
    await until('the job is running', () => gate.held === 1);
    mails.pause();
    try {
      const late = NamedJob.set({ queue: 'mailer' }).performLater('straight');
      await transaction(async () => {
        await NamedJob.set({ queue: 'mailer' }).performLater('committed');
        await NamedJob.performLater('one');
      });
      await haveRun('one');
      await NamedJob.performAllLater(Array.from({ length: 5 }, (_, n) => [`more ${n}`] as [string]));
      await until('the others have run', () => ran.length === 6);
      gate.open();
      assert.equal((await late).enqueued, true);
    } finally {
      mails.resume();
    }
    await until('all jobs have run', () => ran.length === 9);
    assert.equal(new Set(ran).size, 9);
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
  });

  it('do not hold up the rows of other queues, however many of their own wait for their server', async () => {
    await system.processor(CLASSES);
    await mails.stop();
    const many = Array.from({ length: 501 }, (_, n) => [`mail ${n}`] as [string]);
    try {
      await transaction(async () => {
        await NamedJob.set({ queue: 'mailer' }).performAllLater(many);
        await NamedJob.performLater('behind them');
      });
      await haveRun('behind them');
    } finally {
      await mails.start();
    }
    await until('all jobs have run', () => ran.length === 502);
  });

  it('have a job at its last delivery run alone in the process, whatever server it comes from', async () => {
    const scriptCalls = async () => {
      const found = /cmdstat_evalsha:calls=(\d+)/.exec(String(await tell(mails, ['INFO', 'commandstats'])));
      return Number(found?.[1] ?? 0);
    };
    await HeldJob.performLater('beside');
    await system.processor(CLASSES);
    await until('one job is running', () => gate.held === 1);
    const before = await scriptCalls();
    await tell(mails, ['HSET', 'bq:mailer:deliveries', 'dangerous', '2:']);
    await dispatch(system.redis.client, [{ id: 'dangerous', queue: 'mailer', record: record('dangerous', 'HeldJob') }]);
    await until(
      'the job was dispatched, and a call for jobs was made',
      async () => (await scriptCalls()) >= before + 2,
    );
    await tell(mails, ['PING']);
    assert.equal(gate.held, 1, 'it waits until the other has ended');
    gate.close();
    await until('the job is running', () => gate.held === 1 && ran.length === 1);
    await NamedJob.performLater('after');
    await NamedJob.set({ queue: 'mailer' }).performLater('after it, too');
    assert.equal(ran.length, 1);
    gate.open();
    await haveRun('dangerous', 'beside', 'after', 'after it, too');
  });

  it('get the jobs of a dead processor back, on each server', async () => {
    const { client } = system.redis;
    for (const [server, queue] of [
      [system.redisServer, 'default'],
      [mails, 'mailer'],
    ] as const) {
      await dispatch(client, [{ id: queue, queue, record: record(queue) }]);
      await tell(server, ['LMOVE', `bq:${queue}:waiting`, `bq:${queue}:active`, 'RIGHT', 'LEFT']);
      await tell(server, ['HSET', `bq:${queue}:deliveries`, queue, '1:dead.1']);
    }
    const back = await rescueOrphans(client, 'dead', QUEUES);
    assert.deepEqual(back?.map(({ id, queue }) => `${queue} ${id}`).sort(), ['default default', 'mailer mailer']);
    await system.processor(CLASSES);
    await haveRun('default', 'mailer');
  });

  it('are one set to operators, for pages in order, counts, look-ups and moves', async () => {
    await system.processor(CLASSES);
    for (const n of [0, 1, 2, 3, 4]) await FailingJob.set({ queue: QUEUES[n % 2] ?? '' }).performLater(`job ${n}`);
    await until('all jobs wait for a retry', async () => (await admin().size('retry')) === 5);
    const retry = await admin().set('retry');
    for (const descending of [false, true]) {
      const ids: string[] = [];
      const times: number[] = [];
      let after: string | undefined;
      do {
        const page = await retry.page({ limit: 2, after, sort: { by: 'at', descending } });
        assert.equal(page.total, 5);
        ids.push(...page.entries.map(({ id }) => id));
        times.push(...page.entries.map(({ at }) => at?.getTime() ?? 0));
        after = page.next;
      } while (after !== undefined);
      assert.equal(new Set(ids).size, 5);
      const sorted = [...times].sort((a, b) => (descending ? b - a : a - b));
      assert.deepEqual(times, sorted);
    }
    const offset = await retry.page({ limit: 2, offset: 3 });
    assert.equal(offset.entries.length, 2);
    const sorted = await retry.page({ sort: { by: 'queue', descending: true } });
    assert.deepEqual(
      sorted.entries.map(({ queue }) => queue),
      ['mailer', 'mailer', 'default', 'default', 'default'],
    );
    const [last] = sorted.entries.filter(({ queue }) => queue === 'mailer');
    assert.equal((await admin().find(last?.id ?? '')).place, 'retry');
    await system.stopProcessors();
    assert.deepEqual(await admin().act('retry', 'retry', { filter: {} }), { moved: 5, complete: true });
    const sizes = (await admin().queues.list()).map(({ name, waiting }) => `${name} ${waiting}`);
    assert.deepEqual(sizes, ['default 3', 'mailer 2']);
    assert.equal(await admin().queues.clear('mailer'), 2);
    assert.equal(await inRedis(mails, 'bq:mailer:waiting'), false);
  });

  it('are paused and resumed on their server, and paused again when it has lost that', async () => {
    await system.processor(CLASSES, { tuning: { outbox: { compareMs: 50 } } });
    await until('the first run of the server is compared', () => inRedis(mails, 'catamount:reconciled-run'));
    assert.equal(await admin().queues.pause('mailer'), true);
    assert.ok(await inRedis(mails, 'bq:mailer:paused'));
    await tell(mails, ['FLUSHALL']);
    await until('the queue is paused again', () => inRedis(mails, 'bq:mailer:paused'));
    await NamedJob.set({ queue: 'mailer' }).performLater('paused');
    await NamedJob.performLater('not paused');
    await haveRun('not paused');
    assert.equal(await admin().queues.resume('mailer'), true);
    await haveRun('not paused', 'paused');
  });

  it('are relayed, compared and counted even by a processor that does not serve them', async () => {
    const jobs = { queues: [{ name: 'default', weight: 1 }] };
    await system.processor(CLASSES, { jobs, tuning: { outbox: { compareMs: 50 } } });
    await until('the first run of the server is compared', () => inRedis(mails, 'catamount:reconciled-run'));
    await transaction(() => NamedJob.set({ queue: 'mailer' }).performLater('for another'));
    const waiting = async () => {
      const queues = await readKnownQueues(system.redis.client, ['default']);
      return queues.find(({ name }) => name === 'mailer')?.waiting;
    };
    await until('the job waits', async () => (await waiting()) === 1);
    await tell(mails, ['FLUSHALL']);
    await until('the job waits again', async () => (await waiting()) === 1);
    await NamedJob.performLater('served here');
    await haveRun('served here');
  });

  it('are left out of lists while their server is down, and operations on them fail', async () => {
    await mails.stop();
    try {
      await until('the server is known to be down', async () => (await admin().queues.list()).length === 1);
      assert.deepEqual(
        (await admin().queues.list()).map(({ name }) => name),
        ['default'],
      );
      assert.equal(await admin().size('retry'), 0);
      await assert.rejects(admin().queues.size('mailer'), /the Redis of queue mailer does not answer/);
      await assert.rejects(admin().find('0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11'), /the Redis of mailer does not answer/);
      await assert.rejects(admin().queues.pause('mailer'));
    } finally {
      await mails.start();
    }
    await until('the server is back', async () => (await admin().queues.list()).length === 2);
  });
});
