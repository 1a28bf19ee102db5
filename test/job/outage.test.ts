import assert from 'node:assert/strict';
import net from 'node:net';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: number[] = [];

class CountJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

class GatedJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    ran.push(n);
    await gate.pass();
  }
}

const CLASSES = [CountJob, GatedJob];

/** [0, 1, …, count - 1] */
const upTo = (count: number) => [...Array(count).keys()];
const sorted = () => [...ran].sort((a, b) => a - b);

describe('jobs during outages', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  const allSettled = () => until('no row is left', async () => (await system.jobCount()) === 0);

  it('are neither lost nor repeated when Redis goes down and comes back', async () => {
    await system.processor(CLASSES);
    for (const n of upTo(40)) {
      if (n === 10) await system.redisServer.kill();
      if (n === 30) await system.redisServer.start();
      // Half of them in a transaction, half straight to a Redis that may be down.
      await (n % 2 === 0 ? transaction(() => CountJob.performLater(n)) : CountJob.performLater(n));
    }
    await until('all jobs have run', () => new Set(ran).size === 40);
    await allSettled();
    assert.deepEqual(sorted(), upTo(40));
  });

  it('run, once each, while Redis is frozen', async () => {
    await system.processor(CLASSES);
    await CountJob.performLater(0);
    await until('the job has run', () => ran.length === 1);
    system.redisServer.pause();
    try {
      await CountJob.performLater(1);
      await CountJob.performLater(2);
      await until('both jobs have run', () => new Set(ran).size === 3);
    } finally {
      system.redisServer.resume();
    }
    await allSettled();
    assert.deepEqual(sorted(), upTo(3));
  });

  for (const [what, lose] of [
    ['FLUSHALL', () => system.redis.client.flushAll()],
    ['a Redis that restarts without its data', () => system.redisServer.restart({ wipe: true })],
  ] as const) {
    it(`are all run once, those that wait and those that run, after ${what}`, async () => {
      const count = 600;
      await system.processor(CLASSES);
      await transaction(() => GatedJob.performAllLater(upTo(2).map((n) => [n])));
      await until('both permits are taken', () => gate.held === 2);
      const others = upTo(count).slice(2);
      await transaction(() => CountJob.performAllLater(others.map((n) => [n])));
      await lose();
      gate.open();
      await until('all jobs have run', () => new Set(ran).size === count);
      await allSettled();
      assert.deepEqual(sorted(), upTo(count));
    });
  }

  it('run when Redis is full', async () => {
    const { client } = system.redis;
    for (const n of upTo(20)) await CountJob.performLater(n);
    await client.configSet('maxmemory', '1');
    try {
      await assert.rejects(client.set('more', 'x'), /OOM/);
      await transaction(() => CountJob.performLater(20));
      assert.equal((await CountJob.performLater(21)).enqueued, true);
      const processor = await system.processor(CLASSES);
      await until('all jobs have run', () => ran.length === 22);
      assert.deepEqual(processor.snapshot().running, []);
    } finally {
      await client.configSet('maxmemory', '0');
    }
    await allSettled();
  });

  it('report once that the connection to Redis is lost, however often it is tried again', async () => {
    await system.processor(CLASSES);
    await system.redisServer.kill();
    let tries = 0;
    const refuser = net.createServer((socket) => {
      tries++;
      socket.destroy();
    });
    refuser.listen(system.redisServer.port, '127.0.0.1');
    await until('it was tried ten times', () => tries >= 10);
    await new Promise((closed) => refuser.close(closed));
    assert.equal(system.eventsNamed('redis.lost').length, 1);
    assert.deepEqual(
      system.eventsNamed('queue.error').map(({ during, error }) => `${during}: ${error.message}`),
      [],
    );
    await system.redisServer.start();
    await CountJob.performLater(0);
    await until('the job has run', () => ran.length === 1);
  });

  it('run once each when Redis loses its scripts and its connections are cut', async () => {
    await system.processor(CLASSES);
    for (const n of upTo(30)) {
      if (n % 10 === 3) await system.redis.client.scriptFlush();
      if (n % 10 === 6) {
        await system.redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal']).catch(() => undefined);
        await system.redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']).catch(() => undefined);
      }
      await CountJob.performLater(n);
    }
    await until('all jobs have run', () => new Set(ran).size === 30);
    await allSettled();
    assert.deepEqual(sorted(), upTo(30));
  });

  it('run once each when they were committed, although connections to Postgres are cut', async () => {
    await system.processor(CLASSES);
    const cut = () =>
      system.postgres.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
    const enqueued: number[] = [];
    for (const n of upTo(30)) {
      if (n % 10 === 5) await cut();
      await transaction(() => CountJob.performLater(n)).then(
        () => enqueued.push(n),
        () => undefined,
      );
    }
    assert.ok(enqueued.length >= 15, 'each cut makes only a few enqueues fail');
    await until('all committed jobs have run', () => enqueued.every((n) => ran.includes(n)));
    await allSettled();
    assert.equal(ran.length, new Set(ran).size, 'none ran twice');
  });

  it('run when Redis is back after it was lost at any moment of a processor start', async () => {
    for (let round = 0; round < 4; round++) {
      await system.reset();
      await system.processor(CLASSES);
      const from = performance.now();
      // Some of the processor's first commands are on their way.
      while (performance.now() - from < round * 0.8) await new Promise(setImmediate);
      await system.redisServer.kill();
      await system.redisServer.start();
      await CountJob.performLater(round);
      await until(`job ${round} ran`, () => ran.includes(round));
    }
  });

  it('leave no connection behind after processors have started and stopped', async () => {
    const connections = async () =>
      (await system.redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;
    const before = await connections();
    for (let round = 0; round < 3; round++) {
      const processor = await system.processor(CLASSES);
      await until('the processor has its connections', async () => (await connections()) === before + 1);
      await processor.stop(Deadline.after(30_000));
    }
    await until('the connections are closed', async () => (await connections()) === before);
  });
});
