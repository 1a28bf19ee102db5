import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { Job } from '../../lib/job/job';
import { until } from '../support/until';
import { Gate } from './gate';
import { JobSystem } from './job-system';

interface PlainJob {
  readonly id: string;
  readonly data: unknown;
  delayUntil(at: number): PlainJob;
  setId(id: string): PlainJob;
  save(): Promise<PlainJob>;
}

interface PlainQueue extends EventEmitter {
  createJob(data: unknown): PlainJob;
  getJobs(type: string, page: object): Promise<PlainJob[]>;
  checkHealth(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

const BeeQueue = require('bee-queue') as new (name: string, settings: object) => PlainQueue;
let gate: Gate;
const ran: string[] = [];

class EchoJob extends Job<[text: string]> {
  async perform(text: string): Promise<void> {
    ran.push(text);
    if (text === 'held') await gate.pass();
  }
}

for (const [prefix, redisPrefix] of [
  ['bq', null],
  ['{shop}bq', 'shop'],
] as const)
  describe(`plain bee-queue on our keys, with the prefix ${prefix}`, () => {
    let system: JobSystem;
    let plain: PlainQueue;
    before(async () => {
      system = await JobSystem.start({}, { redisPrefix });
      const redis = { url: system.redisServer.url };
      plain = new BeeQueue('default', { prefix, redis, isWorker: false, getEvents: false });
      ran.length = 0;
      gate = new Gate();
    });
    after(async () => {
      gate.open();
      await plain.close();
      await system.stop();
    });

    it('can enqueue jobs: at once, delayed, and with an id that was used before', async () => {
      await system.processor([EchoJob]);
      const payload = (text: string) => ({ class: 'EchoJob', args: [text] });
      await plain.createJob(payload('now')).save();
      await plain
        .createJob(payload('later'))
        .delayUntil(Date.now() + 300)
        .save();
      await until('both jobs have run', () => ran.length === 2);
      await plain.createJob(payload('again')).setId('1').save();
      await until('the third job has run', () => ran.length === 3);
      assert.deepEqual(ran, ['now', 'later', 'again']);
    });

    it('can read the jobs that we enqueue', async () => {
      const { id } = await EchoJob.performLater('held');
      await until('the job is running', () => gate.held === 1);
      const [active = assert.fail('nothing is active')] = await plain.getJobs('active', { start: 0, end: 9 });
      assert.equal(active.id, id);
      assert.deepEqual((active.data as { args: unknown }).args, ['held']);
      assert.equal((await plain.checkHealth()).active, 1);
      gate.open();
      await until('the job is done', async () => (await plain.checkHealth()).active === 0);
    });
  });
