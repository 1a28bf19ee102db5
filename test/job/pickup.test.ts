import assert from 'node:assert/strict';
import { Client } from 'pg';
import { Job } from '../../lib/job/job';
import { until } from '../support/until';
import { TWO_QUEUES, useJobSystem } from './job-system';

const ran: string[] = [];
let ranAt = 0;

class QueueJob extends Job {
  perform(): void {
    ranAt = Date.now();
    ran.push(this.context.queue);
  }
}

const QUEUES = Array.from({ length: 12 }, (_, n) => ({ name: `queue-${n}`, weight: 1 }));
const HOUR = 3_600_000;
/** Only what is announced can make the processor fetch. */
const NO_LOOK = { dispatch: { lookMs: HOUR, overdueMs: HOUR } };

describe('an idle processor', () => {
  const system = useJobSystem({ empty: [ran] });

  const connections = async () =>
    (await system.redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n').length;

  it('is woken by each job, and by a scheduled one no earlier than it is due', async () => {
    await system.processor([QueueJob], { tuning: NO_LOOK });
    for (const count of [1, 2, 3]) {
      await QueueJob.performLater();
      await until('the job has run', () => ran.length === count);
    }
    const due = Date.now() + 250;
    await QueueJob.set({ wait: 250 }).performLater();
    await until('the job has run', () => ran.length === 4);
    assert.ok(ranAt >= due, `${due - ranAt} ms too early`);
  });

  it('waits for all its queues on one connection, however many there are', async () => {
    const before = await connections();
    await system.processor([QueueJob], { jobs: { queues: QUEUES }, tuning: NO_LOOK });
    await until('the processor waits', async () => (await connections()) === before + 1);
    const names = [...QUEUES, ...QUEUES].map(({ name }) => name);
    for (const [index, name] of names.entries()) {
      await QueueJob.set({ queue: name }).performLater();
      await until(`${name} ran`, () => ran.length > index);
    }
    assert.deepEqual(ran, names);
    assert.equal(await connections(), before + 1);
  });

  it('is the only one that a lone job wakes, however many wait', async () => {
    const processors = await Promise.all(
      Array.from({ length: 5 }, () => system.processor([QueueJob], { tuning: NO_LOOK })),
    );
    // Each looks once when notifications arrive, and may hint again at a job that is just being claimed.
    await until('notifications arrive, and all have looked', () =>
      processors.every(({ listening, progress }) => listening === true && progress.dispatch?.owedMs === 0),
    );
    const { client } = system.redis;
    const blocked = async () => Number(/^blocked_clients:(\d+)/m.exec(await client.info('clients'))?.[1]);
    await until('all wait', async () => (await blocked()) === 5);
    const calls = async (command: string) => {
      const info = await client.info('commandstats');
      return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    };
    const pops = () => calls('brpop');
    const looks = () => calls('rpop');
    const before = await pops();
    for (let n = 1; n <= 10; n++) {
      await QueueJob.performLater();
      await until('the job has run', () => ran.length === n);
      await until('all wait again', async () => (await blocked()) === 5);
    }
    const woken = (await pops()) - before;
    // One may be woken once more, by a hint that was sent again since Redis answered late.
    assert.ok(woken >= 10 && woken <= 12, `${woken} were woken by 10 jobs`);
    // Nor do the others look for hints when the dispatchers are told of them.
    const listener = new Client(system.postgres.url);
    await listener.connect();
    try {
      let told = 0;
      listener.on('notification', ({ payload }) => {
        if (payload === 'hinted') told++;
      });
      await listener.query('listen job_queue');
      const looksBefore = await looks();
      await QueueJob.performLater();
      await until('the dispatchers are told', () => told > 0);
      await QueueJob.performLater();
      await until('both jobs have run', () => ran.length === 12);
      const looked = (await looks()) - looksBefore;
      assert.ok(looked < processors.length * TWO_QUEUES.queues.length, `${looked} looks for hints`);
    } finally {
      await listener.end();
    }
  });
});
