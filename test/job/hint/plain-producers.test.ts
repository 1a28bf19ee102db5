import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

interface PlainJob {
  delayUntil(at: number): PlainJob;
  setId(id: string): PlainJob;
  save(): Promise<PlainJob>;
}

interface PlainQueue {
  createJob(data: unknown): PlainJob;
  close(): Promise<void>;
}

const BeeQueue = require('bee-queue') as new (name: string, settings: object) => PlainQueue;
const ran: string[] = [];
const gate = new Gate();

class GreetJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

class LimitedJob extends Job {
  static override readonly limit = { count: 1 };

  async perform(): Promise<void> {
    await gate.pass();
  }
}

for (const [prefix, redisPrefix] of [
  ['bq', null],
  ['{shop}bq', 'shop'],
] as const)
  describe(`a program that enqueues with bee-queue itself, with the prefix ${prefix}`, () => {
    let queue: PlainQueue;
    after(async () => {
      await queue.close();
    });
    const system = useJobSystem({ redisPrefix, empty: [ran], gate });
    before(() => {
      const redis = { url: system.redisServer.url };
      queue = new BeeQueue('default', { prefix, redis, isWorker: false, getEvents: false });
    });

    // The dispatcher may have hinted at a job that ran meanwhile: that hint goes a moment later.
    const nothingLeft = () =>
      until('nothing is left', async () => {
        const keys = await system.redis.client.keys('*bq:default:*');
        return (await system.jobCount()) === 0 && keys.every((key) => key.endsWith(':id'));
      });

    it('has its jobs run, and nothing of them stays in Redis', async () => {
      await system.processor([GreetJob]);
      for (const name of ['Ann', 'Bob']) await queue.createJob({ class: 'GreetJob', args: [name] }).save();
      await until('both jobs have run', () => ran.length === 2);
      assert.deepEqual(ran.sort(), ['Ann', 'Bob']);
      await nothingLeft();
    });

    it('has no more jobs of a class run at once than its limit', async () => {
      await system.processor([LimitedJob]);
      for (let n = 0; n < 2; n++) await queue.createJob({ class: 'LimitedJob', args: [] }).save();
      const states = async () => {
        const rows = await system.postgres.query<{ state: string }>('select state from job_queue order by state');
        return rows.map(({ state }) => state);
      };
      await until('both jobs have rows, and one runs', async () => (await states()).length === 2 && gate.held > 0);
      await until('the other one is held up by it', async () => (await states()).join() === 'held,running');
      gate.open();
      await nothingLeft();
    });

    it('may use an id again', async () => {
      await system.processor([GreetJob]);
      for (let n = 1; n <= 2; n++) {
        await queue
          .createJob({ class: 'GreetJob', args: [`round ${n}`] })
          .setId('7')
          .save();
        await until('the job has run', () => ran.length === n);
        await nothingLeft();
      }
    });

    it('has delayed jobs run when they are due', async () => {
      await system.processor([GreetJob]);
      const job = queue.createJob({ class: 'GreetJob', args: ['later'] });
      await job.delayUntil(Date.now() + 300).save();
      await until('the job has run', () => ran.length === 1);
      await nothingLeft();
    });

    it('has jobs run that were enqueued while no processor was there, once each', async () => {
      for (let n = 0; n < 20; n++) await queue.createJob({ class: 'GreetJob', args: [String(n)] }).save();
      await system.processor([GreetJob]);
      await system.processor([GreetJob]);
      await until('all jobs have run', () => ran.length === 20);
      await nothingLeft();
      assert.equal(new Set(ran).size, 20);
    });

    it('gets a job that makes no sense, or that Postgres cannot store, into the dead set, and has the others run', async () => {
      const long = Array.from({ length: 300 }, () => randomUUID()).join('');
      for (const data of [{ note: 'no class' }, { class: long }, { class: 'GreetJob', args: ['Ann'] }])
        await queue.createJob(data).save();
      await system.processor([GreetJob]);
      await until('two jobs are dead', async () => (await system.deadIds()).length === 2);
      await nothingLeft();
      for (const { reason } of system.eventsNamed('job.dead')) assert.match(reason, /names no job class/);
      const kept = await system.postgres.query('select class from job_dead where payload::text like $1', [
        `%${long.slice(0, 900)}%`,
      ]);
      assert.deepEqual(kept, [{ class: 'unreadable' }]);
      assert.deepEqual(ran, ['Ann']);
    });

    for (const [what, id] of [
      ['a number', '41'],
      ['a UUID', '5f1c3f5e-7a68-4d5c-9d4e-3f7f0c6f1a11'],
    ] as const)
      it(`loses no job whose processor dies between Redis and Postgres, with ${what} as its id`, async () => {
        const held = queue.createJob({ class: 'GreetJob', args: ['held'] });
        await held.setId(id).save();
        // As a processor leaves it that then dies.
        assert.equal(await system.redis.client.rPop('bq:default:waiting'), id);
        await system.processor([GreetJob], { tuning: { orphanedMs: 100 } });
        await until('the job has run', () => ran.includes('held'));
        await nothingLeft();
        assert.deepEqual(ran, ['held']);
      });

    it('has a job run soon after Postgres could not give it a row', async () => {
      await system.processor([GreetJob]);
      await system.postgres.query('alter table job_queue rename to away');
      try {
        await queue.createJob({ class: 'GreetJob', args: ['refused'] }).save();
        await until('it was refused', () => system.eventsNamed('queue.error').length > 0);
      } finally {
        await system.postgres.query('alter table away rename to job_queue');
      }
      await until('the job has run', () => ran.length === 1);
      await nothingLeft();
    });

    it('does not take delayed and waiting jobs for such, and has them run once', async () => {
      for (let n = 0; n < 5; n++) {
        await queue.createJob({ class: 'GreetJob', args: [`waiting ${n}`] }).save();
        const delayed = queue.createJob({ class: 'GreetJob', args: [`delayed ${n}`] });
        await delayed.delayUntil(Date.now() + 300).save();
      }
      const quiet = await system.processor([GreetJob], { tuning: { orphanedMs: 0 } });
      quiet.quiet();
      await queue
        .createJob({ class: 'GreetJob', args: ['last'] })
        .delayUntil(Date.now() + 600)
        .save();
      await until('the last is due', async () => (await system.redis.client.lLen('bq:default:waiting')) === 11);
      quiet.resume();
      await until('all have run', () => ran.length === 11);
      await nothingLeft();
      assert.equal(new Set(ran).size, 11);
    });
  });
