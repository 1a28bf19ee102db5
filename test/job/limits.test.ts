import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';
import { setSources, setsOf } from './sets/set-sources';

const gate = new Gate();
let most = 0;
const ran: string[] = [];

class OneJob extends Job<[name: string]> {
  static override jobName = 'one at a time';
  static override readonly limit = { count: 1 };

  async perform(name: string): Promise<void> {
    most = Math.max(most, gate.held + 1);
    await gate.pass(this.context.signal);
    ran.push(name);
  }
}

/** The same class after a deploy that lifts its limit. */
class LiftedJob extends Job<[name: string]> {
  static override jobName = OneJob.jobName;

  async perform(name: string): Promise<void> {
    most = Math.max(most, gate.held + 1);
    await gate.pass();
    ran.push(name);
  }
}

class QuickJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe('classes with a limit', () => {
  const system = useJobSystem({
    gate,
    reset: () => {
      ran.length = most = 0;
    },
  });

  const held = async () => {
    const [row] = await system.postgres.query<{ count: number }>(
      `select count(*)::int from job_queue where state = 'held'`,
    );
    return row?.count;
  };
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);

  it('do not hold up other jobs behind them', async () => {
    await system.processor([OneJob, QuickJob]);
    await transaction(async () => {
      for (let n = 0; n < 50; n++) await OneJob.performLater(`limited ${n}`);
      await QuickJob.performLater('behind');
    });
    await until('the job behind them has run', () => ran.includes('behind'));
    assert.deepEqual(ran, ['behind']);
    gate.open();
    await until('all jobs have run', () => ran.length === 51);
    assert.equal(most, 1);
    assert.deepEqual(
      ran.slice(1),
      Array.from({ length: 50 }, (_, n) => `limited ${n}`),
      'in their order',
    );
    await nothingLeft();
  });

  it('run their next job in another process at once when the first process is quiet', async () => {
    const leaving = await system.processor([OneJob]);
    await OneJob.performLater('first');
    await until('the first job is running', () => gate.held === 1);
    await system.processor([OneJob]);
    await OneJob.performLater('second');
    await until('the second job is held', async () => (await held()) === 1);
    leaving.quiet();
    gate.open();
    await until('both jobs have run', () => ran.length === 2);
    assert.equal(most, 1);
    await nothingLeft();
  });

  it('run all held jobs when a deploy lifts the limit', async () => {
    const old = await system.processor([OneJob]);
    for (let n = 0; n < 6; n++) await OneJob.performLater(`${n}`);
    await until('the other jobs are held', async () => gate.held === 1 && (await held()) === 5);
    old.quiet();
    gate.close();
    await until('the first job has run', () => ran.length === 1);
    await system.processor([LiftedJob], { jobs: { concurrency: 5 } });
    await until('the other jobs run together', () => gate.held === 5);
    gate.open();
    await until('all jobs have run', () => ran.length === 6);
    await nothingLeft();
  });

  it('run their next job although Postgres refused to admit it at first', async () => {
    const hour = 3_600_000;
    await system.processor([OneJob], { tuning: { dispatch: { lookMs: hour, overdueMs: hour, upkeepMs: 1 } } });
    for (const name of ['first', 'second']) await OneJob.performLater(name);
    await until('the second job is held', async () => gate.held === 1 && (await held()) === 1);
    await system.postgres.query('alter table job_pauses rename to away');
    try {
      gate.open();
      await until('the first job has ended', async () => (await system.jobCount()) === 1);
      await until('the look for held ones was refused', () => system.eventsNamed('queue.error').length > 0);
    } finally {
      await system.postgres.query('alter table away rename to job_pauses');
    }
    await nothingLeft();
    assert.deepEqual(ran, ['first', 'second']);
  });

  it('keep their limit when an operator kills jobs and retries them', async () => {
    await system.processor([OneJob], { jobs: { concurrency: 4 } });
    for (let n = 0; n < 4; n++) await OneJob.performLater(`${n}`);
    await until('the others are held', async () => (await held()) === 3);
    const sets = setsOf(setSources(system));
    assert.equal((await sets.blocked.move('kill', { filter: {} })).moved, 3);
    assert.equal((await sets.dead.move('retry', { filter: {} })).moved, 3);
    await until('they are held again', async () => (await held()) === 3);
    gate.open();
    await until('all jobs have run', () => ran.length === 4);
    assert.equal(most, 1);
    await nothingLeft();
  });
});
