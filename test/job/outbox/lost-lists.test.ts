import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { JobSystem } from '../job-system';
import { store } from '../sets/stored-job';

const SOON = { compareMs: 20, routineMs: 0, sweepMs: 20 };
/** A queue that no processor serves, so that its jobs stay where they are. */
const UNSERVED = 'unserved';
const UNSERVED_KEY = `bq:${UNSERVED}:`;

const gate = new Gate();
const ran: number[] = [];

class NoteJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    ran.push(n);
  }
}

class GatedJob extends Job<[n: number]> {
  async perform(n: number): Promise<void> {
    await gate.pass();
    ran.push(n);
  }
}

class OneAtATimeJob extends Job<[n: number]> {
  static override concurrency = 1;
  async perform(n: number): Promise<void> {
    await gate.pass();
    ran.push(n);
  }
}

class FailingOnceJob extends Job<[n: number]> {
  static override retry = { limit: 5 };
  static override retryIn(): number {
    return 3_600_000;
  }
  async perform(n: number): Promise<void> {
    if (this.context.attempt === 1) throw new Error('the first time');
    ran.push(n);
  }
}

class DeadJob extends Job {
  static override retry = { limit: 0 };
  async perform(): Promise<void> {
    throw new Error('never');
  }
}

const CLASSES = [NoteJob, GatedJob, OneAtATimeJob, FailingOnceJob, DeadJob];

describe('jobs whose records are in Redis, but on no list', () => {
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

  const start = () => system.processor(CLASSES, { tuning: { outbox: SOON } });
  const records = () => system.redis.client.hLen('bq:default:jobs');
  const restored = () => system.eventsNamed('queue.restored').reduce((total, { count }) => total + count, 0);
  const sorted = () => [...ran].sort((a, b) => a - b);
  const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

  it('go back to the waiting list once each, even 2500 of them', async () => {
    const { client } = system.redis;
    await NoteJob.set({ queue: UNSERVED }).performAllLater(upTo(2500).map((n) => [n]));
    const before = await client.hLen(`${UNSERVED_KEY}jobs`);
    assert.equal(before, 2500);
    await client.del(`${UNSERVED_KEY}waiting`);
    await start();
    await until('all jobs wait again', async () => (await client.lLen(`${UNSERVED_KEY}waiting`)) === 2500);
    const ids = await client.lRange(`${UNSERVED_KEY}waiting`, 0, -1);
    assert.equal(new Set(ids).size, 2500);
    await until('all jobs are reported', () => restored() === 2500);
  });

  it('are reported as far as they were restored when Redis then fails', async () => {
    const { client } = system.redis;
    await NoteJob.set({ queue: UNSERVED }).performAllLater(upTo(600).map((n) => [n]));
    await OneAtATimeJob.set({ queue: UNSERVED }).performLater(600);
    await client.del(`${UNSERVED_KEY}waiting`);
    // The last job's call fails, since the key of its class is not a list.
    await client.set(`${UNSERVED_KEY}blocked:OneAtATimeJob`, 'no list');
    await start();
    await until('the jobs of the first call are reported', () => restored() >= 500);
  });

  it('run, each once', async () => {
    await NoteJob.performAllLater(upTo(20).map((n) => [n]));
    await system.redis.client.del('bq:default:waiting');
    await start();
    await until('all jobs have run', async () => ran.length >= 20 && (await records()) === 0);
    assert.deepEqual(sorted(), upTo(20));
  });

  it('run, too, when they were held for the limit of their class', async () => {
    await start();
    await OneAtATimeJob.performAllLater(upTo(5).map((n) => [n]));
    const { client } = system.redis;
    await until('four jobs are held', async () => (await client.lLen('bq:default:blocked:OneAtATimeJob')) === 4);
    await client.del('bq:default:blocked:OneAtATimeJob');
    gate.open();
    await until('all jobs have run', async () => ran.length >= 5 && (await records()) === 0);
    assert.deepEqual(sorted(), upTo(5));
  });

  it('keep the time of their retry', async () => {
    await start();
    await FailingOnceJob.performLater(7);
    const { client } = system.redis;
    await until('the job waits for its retry', async () => (await client.zCard('bq:default:delayed')) === 1);
    const [due] = await client.zRangeWithScores('bq:default:delayed', 0, 0);
    await client.del('bq:default:delayed');
    await until('the job waits for its retry again', async () => (await client.zCard('bq:default:delayed')) === 1);
    assert.deepEqual(await client.zRangeWithScores('bq:default:delayed', 0, 0), [due]);
    assert.deepEqual(ran, []);
  });

  it('are dead when they had died, and do not run', async () => {
    const { client } = system.redis;
    const id = await store(client, 'dead', { class: 'DeadJob', errors: ['never'], reason: 'never' });
    await client.del('bq:default:dead');
    await start();
    await until('the job is dead', async () => (await system.deadIds()).includes(id));
    await until('its record is gone', async () => (await records()) === 0);
    assert.deepEqual([restored(), system.eventsNamed('job.started')], [1, []]);
  });

  it('are left to the live process that runs them', async () => {
    const { client } = system.redis;
    await start();
    await GatedJob.performLater(1);
    await until('the job is running', () => gate.held === 1);
    await NoteJob.set({ queue: UNSERVED }).performLater(2);
    await client.del(['bq:default:active', `${UNSERVED_KEY}waiting`]);
    // The jobs of the queue that is checked after it are restored, so it has been checked.
    await until('the other job waits again', async () => (await client.lLen(`${UNSERVED_KEY}waiting`)) === 1);
    gate.open();
    await until('the job has ended', async () => (await records()) === 0);
    assert.deepEqual(ran, [1]);
    assert.equal(restored(), 1);
  });
});
