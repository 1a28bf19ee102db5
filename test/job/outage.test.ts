import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { ProcessList } from '../../lib/job/processes/process-list';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/async';
import { until } from '../support/until';
import { Gate } from './gate';
import { JobSystem } from './job-system';

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

describe('outages', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
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

  const allSettled = async () => {
    await until('the outbox is empty', async () => (await system.outboxSize()) === 0);
    await until('nothing waits', async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
  };

  it('a Redis that is down and comes back loses no enqueue and repeats none', async () => {
    await system.processor(CLASSES);
    for (const n of upTo(40)) {
      if (n === 10) await system.redisServer.kill();
      if (n === 30) await system.redisServer.start();
      // Half within a transaction, half straight to a Redis that may not be there.
      await (n % 2 === 0 ? transaction(() => CountJob.performLater(n)) : CountJob.performLater(n));
    }
    await until('all ran', () => new Set(ran).size === 40);
    await allSettled();
    assert.deepEqual(sorted(), upTo(40));
  });

  it('a Redis that answers nothing costs an enqueue a second, then its job runs once', async () => {
    await system.processor(CLASSES);
    await CountJob.performLater(0);
    await until('it ran', () => ran.length === 1);
    system.redisServer.pause();
    try {
      await CountJob.performLater(1);
      // Does not even try.
      await CountJob.performLater(2);
      const [, ...whileItWas] = system.eventsNamed('job.enqueued').map((event) => event.via);
      assert.deepEqual(whileItWas, ['outbox', 'outbox']);
    } finally {
      system.redisServer.resume();
    }
    await until('all ran', () => new Set(ran).size === 3);
    await allSettled();
    assert.deepEqual(sorted(), upTo(3));
  });

  for (const [what, lose] of [
    ['FLUSHALL', () => system.redis.client.flushAll()],
    ['a Redis that restarts without its data', () => system.redisServer.restart({ wipe: true })],
  ] as const) {
    it(`${what} loses no committed job: not those that wait, not those that run, none twice`, async () => {
      const count = 600;
      await system.processor(CLASSES);
      await transaction(() => GatedJob.performAllLater(upTo(2).map((n) => [n])));
      await until('both permits are taken', () => gate.held === 2);
      const others = upTo(count).slice(2);
      await transaction(() => CountJob.performAllLater(others.map((n) => [n])));
      await until('they wait in redis', async () => {
        return (await system.redis.client.lLen('bq:default:waiting')) === others.length;
      });
      await lose();
      gate.open();
      await until('all ran', () => new Set(ran).size === count);
      await allSettled();
      assert.deepEqual(sorted(), upTo(count));
      assert.ok(system.eventsNamed('outbox.redispatched').length > 0);
    });
  }

  it('a Redis that is full to the brim still gives its jobs out, takes their outcomes, and hears who lives', async () => {
    const { client } = system.redis;
    for (const n of upTo(20)) await CountJob.performLater(n);
    await client.configSet('maxmemory', '1');
    try {
      await assert.rejects(client.set('more', 'x'), /OOM/);
      await transaction(() => CountJob.performLater(20));
      assert.equal((await CountJob.performLater(21)).enqueued, true, 'by way of Postgres');
      const processor = await system.processor(CLASSES);
      await until('those that Redis has have run', () => ran.length === 20);
      assert.equal(await client.hLen('bq:default:jobs'), 0);
      const listed = await new ProcessList(client).list();
      assert.equal(listed.length, 1);
      assert.deepEqual(processor.snapshot().running, []);
    } finally {
      await client.configSet('maxmemory', '0');
    }
    await until('so have the others, when there is room again', () => ran.length === 22);
    await allSettled();
  });

  it('outcomes that Redis missed reach it when it is back', async () => {
    await system.processor(CLASSES);
    await transaction(() => GatedJob.performLater(0));
    await until('it runs', () => gate.held === 1);
    await system.redisServer.kill();
    gate.open();
    await system.redisServer.start();
    await until('its success is known', () => system.eventsNamed('job.succeeded').length === 1);
    await allSettled();
    assert.deepEqual(ran, [0]);
  });

  it('lost scripts and cut connections are made up for', async () => {
    await system.processor(CLASSES);
    for (const n of upTo(30)) {
      if (n % 10 === 3) await system.redis.client.scriptFlush();
      if (n % 10 === 6) {
        await system.redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal']).catch(() => undefined);
        await system.redis.client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']).catch(() => undefined);
      }
      await CountJob.performLater(n);
    }
    await until('all ran', () => new Set(ran).size === 30);
    await allSettled();
    assert.deepEqual(sorted(), upTo(30));
  });

  it('Postgres connections that are cut are made up for', async () => {
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
    assert.ok(enqueued.length >= 15, 'each cut fails a few at most');
    await until('all that were committed ran', () => enqueued.every((n) => ran.includes(n)));
    await allSettled();
    assert.equal(ran.length, new Set(ran).size, 'none ran twice');
  });

  it('a processor that starts without Redis waits, then works', async () => {
    await system.redisServer.stop();
    await CountJob.performLater(0);
    await system.processor(CLASSES);
    await system.redisServer.start();
    await until('it ran', () => ran.length === 1);
    await allSettled();
  });

  it('a processor that loses Redis while it starts, at whatever moment, works when it is back', async () => {
    for (let round = 0; round < 8; round++) {
      await system.reset();
      await system.processor(CLASSES);
      const from = performance.now();
      // Some of its first commands are on their way.
      while (performance.now() - from < round * 0.4) await new Promise(setImmediate);
      await system.redisServer.kill();
      await system.redisServer.start();
      await CountJob.performLater(round);
      await until(`job ${round} ran`, () => ran.includes(round));
    }
  });

  it('starting and stopping leaves no connection behind', async () => {
    const connections = async () =>
      (await system.redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;
    const before = await connections();
    for (let round = 0; round < 3; round++) {
      const processor = await system.processor(CLASSES);
      await until('its connections are there', async () => (await connections()) === before + 3);
      await processor.stop(Deadline.after(30_000));
    }
    await until('they are gone', async () => (await connections()) === before);
  });
});
