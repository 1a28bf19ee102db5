import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Job } from '../../lib/job/job';
import { Model } from '../../lib/model/model';
import { currentTransaction, transaction } from '../../lib/model/transaction';
import { enqueuedJobs, useFakeJobs, useTestDatabase } from '../../lib/testing';
import { usePostgres } from '../support/stores';
import { inSuite } from '../support/suite';

class Note extends Model {
  static override readonly tableName = 'notes';
  declare id: number;
  declare label: number;
}

class NoteJob extends Job<[label: number]> {
  perform(_label: number) {}
}

/** What happens in a transaction, in order. */
type Step =
  | { readonly do: 'write'; readonly explicit: boolean }
  /** A statement that fails: from then on Postgres rejects all statements, up to the next rollback. */
  | { readonly do: 'break' }
  | { readonly do: 'nest'; readonly steps: readonly Step[]; readonly ends: 'resolves' | 'rejects' | 'by hand' };

const { steps: STEPS } = fc.letrec<{ readonly step: Step; readonly steps: readonly Step[] }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 5, depthIdentifier: 'steps' }),
  step: fc.oneof(
    { depthIdentifier: 'steps', depthSize: 'small', withCrossShrink: true },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), explicit: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant({ do: 'break' as const }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('nest' as const),
        steps: tie('steps'),
        ends: fc.constantFrom('resolves' as const, 'rejects' as const, 'by hand' as const),
      }),
    },
  ),
}));

describe('a job beside a row, in transactions of any shape,', () => {
  const created = usePostgres();
  const database = inSuite('close', async () => {
    await created.query(
      'create table notes (id serial primary key, label int, created_at timestamptz, updated_at timestamptz)',
    );
    return useTestDatabase({ url: created.url });
  });
  let labels = 0;

  /** Writes both, or neither if Postgres rejects the row. */
  const write = async (explicit: boolean) => {
    labels += 1;
    const trx = currentTransaction();
    await Note.query().insert({ label: labels });
    await NoteJob.set(explicit ? { trx } : {}).performLater(labels);
  };

  const run = async (steps: readonly Step[]): Promise<void> => {
    for (const step of steps) {
      if (step.do === 'write') await write(step.explicit).catch(() => undefined);
      else if (step.do === 'break')
        await currentTransaction()
          ?.raw('select nonsense')
          .catch(() => undefined);
      else await nest(step).catch(() => undefined);
    }
  };

  const nest = ({ steps, ends }: Extract<Step, { readonly do: 'nest' }>) =>
    transaction(async (trx) => {
      await run(steps);
      if (ends === 'rejects') throw new Error('taken back');
      // knex then ignores the regular end of the transaction.
      if (ends === 'by hand') await trx.rollback().catch(() => undefined);
    });

  for (const [where, begin] of [
    ['outside a transaction', false],
    ["in a test's transaction, which never commits", true],
  ] as const) {
    it(`is enqueued exactly if the row exists, ${where}`, () =>
      fc.assert(
        fc.asyncProperty(STEPS, async (steps) => {
          const jobs = await useFakeJobs();
          if (begin) await database.begin();
          try {
            await run(steps);
            const rows = await database.knex('notes').orderBy('label').pluck('label');
            const enqueued = enqueuedJobs().map((job) => job.args[0]);
            assert.deepEqual([...enqueued].sort(), [...rows].sort());
          } finally {
            await jobs.restore();
            await database.rollBack();
            await created.query('truncate notes');
          }
        }),
        { numRuns: 60 },
      ));
  }
});
