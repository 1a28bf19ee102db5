import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Job } from '../../lib/job/job';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: string[] = [];
const OTHERS = 20;

class GatedJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
    ran.push('gated');
  }
}

class PlainJob extends Job<[name: string]> {
  perform(name: string): void {
    ran.push(name);
  }
}

describe("an app's transaction that stays open", () => {
  const system = useJobSystem({ gate, empty: [ran] });
  const start = () =>
    system.processor([GatedJob, PlainJob], { tuning: { dispatch: { lookMs: 100, overdueMs: 100, upkeepMs: 100 } } });
  const count = (name: string) => ran.filter((other) => other === name).length;
  const othersRun = () => until('other jobs have run', () => count('other') === OTHERS);
  const noneIsLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);
  const runs = () => until('it runs', () => gate.held === 1);
  const hasEnded = () => until('its run has ended', () => gate.held === 0);
  /** Outside of the transaction that is open. */
  const insert = (id: string, name: string, deliveries = 0, args: readonly string[] = []) =>
    system.postgres.query(
      `insert into job_queue (id, class, queue, payload, deliveries) values ($1, $2, 'default', $3, $4)`,
      [id, name, JSON.stringify({ class: name, args }), deliveries],
    );
  const enqueueOthers = async () => {
    for (let n = 0; n < OTHERS; n++) await insert(randomUUID(), 'PlainJob', 0, ['other']);
    await system.postgres.query(`select pg_notify('job_queue', 'look')`);
  };

  it('and has cancelled a job that ends meanwhile delays no other job', async () => {
    await start();
    const { id } = await GatedJob.performLater();
    await runs();
    await transaction(async () => {
      assert.equal(await Job.cancel(id), 'requested');
      gate.open();
      await hasEnded();
      await enqueueOthers();
      await othersRun();
      assert.equal(system.eventsNamed('job.succeeded').filter((job) => job.id === id).length, 0);
    });
    await noneIsLeft();
    assert.equal(count('gated'), 1);
    await until('its success is told', () => system.eventsNamed('job.succeeded').some((job) => job.id === id));
  });

  it('and has cancelled a job that is fetched meanwhile delays no other job', async () => {
    const { id } = await GatedJob.performLater();
    await transaction(async () => {
      assert.equal(await Job.cancel(id), 'cancelled');
      await start();
      await enqueueOthers();
      await othersRun();
    });
    await noneIsLeft();
    assert.equal(gate.held, 0);
  });

  it('and has cancelled a job that a hint leads to delays no other job; after a rollback it runs', async () => {
    // No processor may find the row before it is cancelled.
    const id = randomUUID();
    await insert(id, 'GatedJob');
    const failing = transaction(async () => {
      assert.equal(await Job.cancel(id), 'cancelled');
      await start();
      await until('the processor waits for a hint', async () =>
        (await system.redis.client.info('clients')).includes('blocked_clients:1'),
      );
      await system.redis.client.lPush('bq:default:waiting', id);
      await until('the hint is taken', async () => (await system.redis.client.lLen('bq:default:waiting')) === 0);
      await enqueueOthers();
      await othersRun();
      throw new RangeError('rolled back');
    });
    await assert.rejects(failing, RangeError);
    assert.deepEqual(system.eventsNamed('queue.error'), []);
    await runs();
    gate.open();
    await noneIsLeft();
  });

  for (const isFirst of [true, false])
    it(`keeps a job that must run alone, and no other, waiting (${isFirst ? 'met before' : 'met after'} the end)`, async () => {
      await start();
      const { id } = await GatedJob.performLater();
      await runs();
      const suspect = randomUUID();
      /** Each claim and return makes a new version of its row. */
      const version = async () =>
        (await system.postgres.query<{ xmin: string }>('select xmin::text from job_queue where id = $1', [suspect]))[0]
          ?.xmin;
      const meet = async () => {
        await insert(suspect, 'PlainJob', 2, ['suspect']);
        const before = await version();
        await system.postgres.query(`select pg_notify('job_queue', 'look')`);
        await until('it is met', async () => (await version()) !== before);
      };
      await transaction(async () => {
        assert.equal(await Job.cancel(id), 'requested');
        if (isFirst) await meet();
        gate.open();
        await hasEnded();
        if (!isFirst) await meet();
        await enqueueOthers();
        await othersRun();
        assert.equal(count('suspect'), 0);
      });
      await noneIsLeft();
      assert.deepEqual([count('gated'), count('suspect')], [1, 1]);
    });

  it('does not keep a processor from its stop; the job whose end could not be recorded runs again', async () => {
    const lineage = { identity: 'stopped', dead: [] };
    const processor = await system.processor([GatedJob], { lineage });
    const { id } = await GatedJob.performLater();
    await runs();
    const { knex } = system.database;
    await knex.transaction(async (trx) => {
      await trx.raw('select from job_queue where id = ? for update', [id]);
      gate.open();
      await hasEnded();
      await processor.stop(Deadline.after(1000));
      assert.equal(await system.jobCount(), 1);
    });
    await system.processor([GatedJob], { lineage: { identity: 'next', dead: ['stopped'] } });
    await noneIsLeft();
    assert.equal(count('gated'), 2);
  });
});
