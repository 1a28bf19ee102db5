import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: number[] = [];

class GatedJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

class PlainJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

describe("an app's transaction that stays open", () => {
  const system = useJobSystem({ gate, empty: [ran] });
  const start = () => system.processor([GatedJob, PlainJob]);
  const othersRun = () => until('other jobs have run', () => ran.length === 20);
  /** Outside of the transaction that is open. */
  const enqueueOthers = async () => {
    const { knex } = system.database;
    await knex.raw(
      `insert into job_queue (class, queue, payload)
       select 'PlainJob', 'default', json_build_object('class', 'PlainJob', 'args', json_build_array(n)) from generate_series(1, 20) as n`,
    );
    await knex.raw(`select pg_notify('job_queue', 'look')`);
  };

  it('and has cancelled a job that ends meanwhile delays no other job', async () => {
    await start();
    const { id } = await GatedJob.performLater();
    await until('it runs', () => gate.held === 1);
    await transaction(async () => {
      assert.equal(await Job.cancel(id), 'requested');
      gate.open();
      await until('its run has ended', () => gate.held === 0);
      await enqueueOthers();
      await othersRun();
    });
    await until('no job is left', async () => (await system.jobCount()) === 0);
  });

  it('and has cancelled a job that is fetched meanwhile delays no other job', async () => {
    const { id } = await GatedJob.performLater();
    await transaction(async () => {
      assert.equal(await Job.cancel(id), 'cancelled');
      await start();
      await enqueueOthers();
      await othersRun();
    });
    await until('no job is left', async () => (await system.jobCount()) === 0);
    assert.equal(gate.held, 0);
  });

  it('and is rolled back gives the job back', async () => {
    const { id } = await GatedJob.performLater();
    const failing = transaction(async () => {
      assert.equal(await Job.cancel(id), 'cancelled');
      await start();
      await enqueueOthers();
      await othersRun();
      throw new Error('rolled back');
    });
    await assert.rejects(failing, /rolled back/);
    await until('it runs', () => gate.held === 1);
    gate.open();
    await until('no job is left', async () => (await system.jobCount()) === 0);
  });
});
