import assert from 'node:assert/strict';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import { Batch } from '../../lib/job/batch';
import { BatchEndedError } from '../../lib/job/definition/batch';
import { Job } from '../../lib/job/job';
import { settleBatches } from '../../lib/job/row/batch-settling';

import { transaction } from '../../lib/model/transaction';
import { dice } from '../support/dice';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';
import { setSources } from './sets/set-sources';

const gate = new Gate();
const told: string[] = [];

/** Ends as it is told; some add others, some wait at the gate. */
class PartJob extends Job<[end: 'done' | 'dead' | 'more' | 'waits']> {
  static override retry = { limit: 0 };

  async perform(end: 'done' | 'dead' | 'more' | 'waits'): Promise<void> {
    if (end === 'waits') await gate.pass(this.context.signal);
    if (end === 'dead') throw new Error('as told');
    if (end === 'more') await this.batch?.add(PartJob.prepare('done'), PartJob.prepare('done'));
  }
}

class KeptPartJob extends Job {
  static override keep = '1d' as const;
  perform(): void {}
}

class CallbackJob extends Job<[text: string]> {
  async perform(text: string): Promise<void> {
    // Others may still run when the first dies.
    const state = text.endsWith('death') ? '' : ` ${(await this.batch?.status())?.state}`;
    told.push(text + state);
  }
}

const later = (batch: Batch) => batch.add(PartJob.set({ wait: '1h' }).prepare('done'));

const all = (name = '') => ({
  onSuccess: CallbackJob.prepare(`${name}success`),
  onComplete: CallbackJob.prepare(`${name}complete`),
  onDeath: CallbackJob.prepare(`${name}death`),
});

describe('a batch', () => {
  const system = useJobSystem({ gate, empty: [told] });
  const start = () => system.processor([PartJob, KeptPartJob, CallbackJob]);
  const idle = () => until('no job is left', async () => (await system.jobCount()) === 0);
  const ended = async (batch: Batch) =>
    until('it has ended', async () => (await batch.status())?.endedAt !== undefined).then(idle);

  it('enqueues its callbacks once when all jobs are done, and knows its numbers', async () => {
    const batch = await Batch.create({ ...all(), description: 'import of May', tags: ['may'] }, async (open) => {
      for (let n = 0; n < 20; n++) await open.add(PartJob.prepare('done'));
    });
    const { id, createdAt, ...status } = (await batch.status()) ?? {};
    assert.equal(id, batch.id);
    assert.ok(createdAt instanceof Date);
    assert.deepEqual(status, {
      ...{ parentId: undefined, description: 'import of May', tags: ['may'], state: 'running' },
      ...{ total: 20, pending: 20, dead: 0, done: 0, completedAt: undefined, endedAt: undefined },
    });
    await start();
    await ended(batch);
    assert.deepEqual(told.sort(), ['complete succeeded', 'success succeeded']);
    const { state, pending, done } = (await batch.status()) ?? {};
    assert.deepEqual({ state, pending, done }, { state: 'succeeded', pending: 0, done: 20 });
  });

  it('tells of the first death, completes with dead jobs, and succeeds once these were retried', async () => {
    await start();
    const batch = await Batch.create(all(), (open) =>
      open.add(PartJob.prepare('dead'), PartJob.prepare('waits'), PartJob.prepare('dead')),
    );
    await until('the first death is told', () => told[0] === 'death');
    gate.open();
    await until('it is complete', () => told.length === 2);
    assert.deepEqual(told.sort(), ['complete completed', 'death']);
    assert.equal((await batch.status())?.dead, 2);
    await system.postgres.query(`update job_dead set payload = replace(payload::text, '"dead"', '"done"')::json`);
    assert.equal(await batch.retryDead(), 2);
    await ended(batch);
    assert.equal(told.at(-1), 'success succeeded');
    assert.equal(told.length, 3);
  });

  it('does not succeed if a dead job was deleted, and says so by its state', async () => {
    await start();
    const batch = await Batch.create(all(), (open) => open.add(PartJob.prepare('dead')));
    await until('it is complete', () => told.length === 2);
    await system.postgres.query('delete from job_dead');
    assert.deepEqual((await settleBatches(system.database.knex)).ready, []);
    assert.equal((await batch.status())?.state, 'completed');
    assert.equal(told.length, 2);
  });

  it('waits for jobs that its jobs add, and refuses others once it has ended', async () => {
    await start();
    const batch = await Batch.create(all(), (open) => open.add(PartJob.prepare('more')));
    await ended(batch);
    assert.equal((await batch.status())?.total, 3);
    await assert.rejects(batch.add(PartJob.prepare('done')), BatchEndedError);
    await assert.rejects(
      Batch.create({ parent: batch }, () => undefined),
      BatchEndedError,
    );
    assert.equal(await system.jobCount(), 0);
  });

  it('does not end while a job is added in a transaction that is open', async () => {
    const later = PartJob.set({ wait: '1h' }).prepare('done');
    const batch = await Batch.create(all(), (open) => open.add(later));
    let settled: Promise<unknown> | undefined;
    await transaction(async () => {
      await batch.add(later);
      await system.postgres.query('delete from job_queue');
      let isOver = false;
      settled = settleBatches(system.database.knex, [batch.id]).then(() => {
        isOver = true;
      });
      const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      await until('it waits', async () => isOver || (await system.postgres.query(waiting)).length > 0);
    });
    await settled;
    assert.equal((await batch.status())?.pending, 1);
    assert.equal(await system.jobCount(), 1);
  });

  it('of a class with keep keeps its jobs among the finished ones, where operators find them', async () => {
    await start();
    const batch = await Batch.create({}, (open) => open.add(KeptPartJob.prepare()));
    await ended(batch);
    const finished = new JobAdmin(setSources(system)).set('finished');
    const { entries } = await finished.page({ batch: batch.id });
    assert.deepEqual(
      entries.map((job) => job.class),
      ['KeptPartJob'],
    );
  });

  it('without jobs succeeds at once', async () => {
    await start();
    await ended(await Batch.create(all(), () => undefined));
    assert.deepEqual(told.sort(), ['complete succeeded', 'success succeeded']);
  });

  it('waits for batches within it, whose callbacks are its jobs', async () => {
    await start();
    const outer = await Batch.create(all('outer '), async (parent) => {
      await Batch.create({ ...all('inner '), parent }, (inner) => inner.add(PartJob.prepare('waits')));
    });
    await until('the inner job runs', () => gate.held === 1);
    assert.deepEqual(told, []);
    gate.open();
    await ended(outer);
    assert.deepEqual(told.slice(0, 2).sort(), ['inner complete succeeded', 'inner success succeeded']);
    assert.deepEqual(told.slice(2).sort(), ['outer complete succeeded', 'outer success succeeded']);
    assert.equal((await outer.status())?.total, 2);
  });

  it('does not succeed around a batch with dead jobs', async () => {
    await start();
    const outer = await Batch.create(all('outer '), async (parent) => {
      await Batch.create({ parent }, (inner) => inner.add(PartJob.prepare('dead')));
    });
    await until('it is complete', () => told.length > 0);
    await idle();
    assert.deepEqual(told, ['outer complete completed']);
    assert.equal((await outer.status())?.state, 'completed');
  });

  it('belongs to a transaction, whole', async () => {
    await start();
    let rolledBack: Batch | undefined;
    const failing = transaction(async () => {
      rolledBack = await Batch.create(all(), (open) => open.add(PartJob.prepare('done')));
      throw new Error('rolled back');
    });
    await assert.rejects(failing, /rolled back/);
    assert.equal(await rolledBack?.status(), undefined);
    const kept = await transaction(() => Batch.create(all(), (open) => open.add(PartJob.prepare('done'))));
    await ended(kept);
    assert.equal(told.length, 2);
  });

  it('that is cancelled ends without callbacks, and takes its jobs and batches within along', async () => {
    await start();
    let inner: Batch | undefined;
    const outer = await Batch.create(all(), async (parent) => {
      await parent.add(PartJob.prepare('waits'), PartJob.set({ wait: '1h' }).prepare('done'));
      inner = await Batch.create({ ...all(), parent }, (open) => open.add(PartJob.set({ wait: '1h' }).prepare('done')));
    });
    await until('a job runs', () => gate.held === 1);
    assert.deepEqual(await outer.cancel({ reason: 'not needed' }), { cancelled: 2, requested: 1 });
    await idle();
    assert.deepEqual([(await outer.status())?.state, (await inner?.status())?.state], ['cancelled', 'cancelled']);
    assert.deepEqual(told, []);
  });

  it('whose filling fails is cancelled', async () => {
    const filling = Batch.create(all(), async (open) => {
      for (let n = 0; n < 1500; n++) await open.add(PartJob.prepare('done'));
      throw new Error('the file ends early');
    });
    await assert.rejects(filling, /the file ends early/);
    assert.equal(await system.jobCount(), 0);
    const [row] = await system.postgres.query<{ outcome: string }>('select outcome from job_batches');
    assert.equal(row?.outcome, 'cancelled');
  });

  it('is settled by the dispatcher when its last job leaves without a word', async () => {
    const batch = await Batch.create(all(), (open) => open.add(PartJob.set({ wait: '1h' }).prepare('done')));
    await start();
    await system.postgres.query('delete from job_queue');
    await ended(batch);
    assert.equal(told.length, 2);
  });

  it('that an open transaction adds to keeps no others waiting, and ends after that', async () => {
    const { knex } = system.database;
    const [held, other] = [await Batch.create({}, later), await Batch.create(all(), later)];
    const adding = transaction(async () => {
      await held.add(PartJob.prepare('done'));
      await gate.pass(new AbortController().signal);
    });
    await until('it has added', () => gate.held === 1);
    await knex.raw('delete from job_queue');
    await start();
    await ended(other);
    assert.equal((await settleBatches(knex, [held.id])).isLookDue, true);
    assert.equal((await held.status())?.state, 'running');
    gate.open();
    await adding;
    await ended(held);
    assert.equal((await held.status())?.total, 2);
  });

  it('is settled with any number of others, although one of them cannot be', async () => {
    const { knex } = system.database;
    const batches: Batch[] = [];
    for (let n = 0; n < 130; n++) batches.push(await Batch.create({}, later));
    await knex.raw(`update job_batches set callbacks = '{"success": {"id": "wrong"}}' where id = ?`, [
      batches[0]?.id ?? '',
    ]);
    await knex.raw('delete from job_queue');
    const { error } = await settleBatches(
      knex,
      batches.map(({ id }) => id),
    );
    assert.ok(error);
    const left = await system.postgres.query<{ id: string }>('select id from job_batches where ended_at is null');
    assert.deepEqual(
      left.map(({ id }) => id),
      [batches[0]?.id],
    );
  });

  it('tells the dispatcher of a callback that is for later', async () => {
    await Batch.create({ onSuccess: PartJob.set({ wait: '1h' }).prepare('done') }, later);
    // A copy without jobs, which the process that has created it does not know.
    const [copy] = await system.postgres.query<{ id: string }>(
      `insert into job_batches (id, description, callbacks, sealed_at)
       select gen_random_uuid(), description, callbacks, now() from job_batches returning id`,
    );
    assert.equal((await settleBatches(system.database.knex, [copy?.id ?? ''])).isLookDue, true);
  });

  it('that is cancelled takes along what is created within it meanwhile, and can be cancelled again', async () => {
    const outer = await Batch.create({}, later);
    let inner: Batch | undefined;
    const creating = transaction(async () => {
      inner = await Batch.create({ parent: outer }, later);
      await gate.pass(new AbortController().signal);
    });
    await until('it is created', () => gate.held === 1);
    const cancelling = outer.cancel();
    const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until('the cancel waits', async () => (await system.postgres.query(waits)).length > 0);
    gate.open();
    await creating;
    assert.deepEqual(await cancelling, { cancelled: 2, requested: 0 });
    assert.equal((await inner?.status())?.state, 'cancelled');
    // As if the process had died before it had cancelled the jobs.
    await system.postgres.query(
      `insert into job_queue (id, queue, class, payload, batch_id) values (gen_random_uuid(), 'default', 'PartJob', '{}', '${outer.id}')`,
    );
    assert.deepEqual(await outer.cancel(), { cancelled: 1, requested: 0 });
  });

  it('keeps what was added while a transaction of its filling is rolled back', async () => {
    const batch = await Batch.create({}, async (open) => {
      for (let n = 0; n < 999; n++) await open.add(PartJob.prepare('done'));
      await transaction(async () => {
        await open.add(PartJob.prepare('done'), PartJob.prepare('done'));
        throw new Error('rolled back');
      }).catch(() => undefined);
    });
    assert.deepEqual([(await batch.status())?.total, await system.jobCount()], [999, 999]);
  });

  it('is not created when jobs that were added could not be enqueued, even if nobody minds', async () => {
    const filling = Batch.create({}, async (open) => {
      for (let n = 0; n < 999; n++) await open.add(PartJob.prepare('done'));
      await open.cancel();
      await open.add(PartJob.prepare('done')).catch(() => undefined);
    });
    await assert.rejects(filling, BatchEndedError);
    assert.equal(await system.jobCount(), 0);
  });

  it('that is not filled to its end is reported once, and may be sealed', async () => {
    const batch = await Batch.create({}, () => undefined);
    await system.postgres.query(
      `update job_batches set sealed_at = null, ended_at = null, outcome = null, completed_at = null, filled_at = now() - interval '2h'`,
    );
    await start();
    const warnings = () => system.eventsNamed('process.warning').filter(({ message }) => message.includes(batch.id));
    await until('it is reported', () => warnings().length === 1);
    assert.equal((await batch.status())?.state, 'filling');
    await batch.seal();
    await ended(batch);
  });

  it('names what is wrong with its options', async () => {
    await assert.rejects(
      Batch.create({ description: 'two\nlines' }, () => assert.fail()),
      /description is "two\\nlines"/,
    );
    await assert.rejects(
      Batch.create({ parent: { id: 'x' } }, () => assert.fail()),
      /parent: the batch is "x"/,
    );
    await assert.rejects(
      Batch.create({ tags: [''] }, () => assert.fail()),
      /a tag is ""/,
    );
    assert.throws(() => Batch.of('7'), /the batch is "7"/);
    await assert.rejects(
      Batch.of('00000000-0000-4000-8000-000000000000').add(PartJob.prepare('done')),
      BatchEndedError,
    );
  });

  it('tells each callback once, in whatever order its jobs are added, end, die and are retried, by many at once', async () => {
    const { knex } = system.database;
    for (let seed = 1; seed <= 12; seed++) {
      const roll = dice(seed);
      const batch = await Batch.create(all(`${seed} `), (open) =>
        open.add(PartJob.set({ wait: '1h' }).prepare('done')),
      );
      // Rows change as the ends of runs change them, while several processes settle.
      const acts = [
        () =>
          batch
            .add(PartJob.set({ wait: '1h' }).prepare('done'))
            .catch((error) => assert.ok(error instanceof BatchEndedError)),
        () =>
          knex.raw(
            `delete from job_queue where id = (select id from job_queue where batch_id = ? order by random() limit 1)`,
            [batch.id],
          ),
        () =>
          knex.raw(
            `with gone as (delete from job_queue where id = (select id from job_queue where batch_id = ? limit 1) returning *)
           insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, batch_id)
           select id, queue, class, payload, 'Error', 1, tags, '', '', batch_id from gone`,
            [batch.id],
          ),
        () => batch.retryDead(),
        () => settleBatches(knex, [batch.id]),
      ];
      for (let n = 0; n < 15; n++) await Promise.all(Array.from({ length: 4 }, () => acts[roll(acts.length)]?.()));
      await batch.retryDead();
      await knex.raw('delete from job_queue where batch_id = ?', [batch.id]);
      await settleBatches(knex, [batch.id]);
      const status = await batch.status();
      assert.equal(status?.state, 'succeeded', `seed ${seed}: ${JSON.stringify(status)}`);
      const { rows } = await knex.raw<{ rows: { text: string }[] }>(
        `select payload->'args'->>0 as text from job_queue where class = 'CallbackJob' order by 1`,
      );
      const texts = rows.map(({ text }) => text).filter((text) => text.startsWith(`${seed} `));
      const expected = [`${seed} complete`, `${seed} death`, `${seed} success`];
      assert.deepEqual(texts, texts.length === 3 ? expected : expected.filter((text) => !text.includes('death')));
      const [died] = await system.postgres.query<{ died: boolean }>(
        'select died_at is not null as died from job_batches where id = $1',
        [batch.id],
      );
      assert.equal(died?.died, texts.length === 3);
    }
  });
});
