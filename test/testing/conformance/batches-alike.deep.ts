import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Batch } from '../../../lib/job/batch';
import { BatchEndedError } from '../../../lib/job/definition/batch';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import { RowEnqueuer } from '../../../lib/job/enqueue/row-enqueuer';
import { Job } from '../../../lib/job/job';
import { IS_ANY_BATCH_DUE } from '../../../lib/job/row/batch-settling';
import { transaction } from '../../../lib/model/transaction';
import { performEnqueuedJobs, useFakeJobs } from '../../../lib/testing';
import { runs } from '../../fuzz/campaign';
import { useJobSystem } from '../../job/job-system';
import { until } from '../../support/until';
import { isIdle } from './worlds';

const PARTS = ['works', 'adds', 'dies', 'leaves', 'later', 'nests'] as const;
type Part = (typeof PARTS)[number];

/** A batch that exists is named by a number, modulo how many there are. */
type Act =
  | { readonly what: 'create'; readonly parts: Part[]; readonly parent: number | null; readonly how: How }
  | { readonly what: 'add' | 'add, and take it back'; readonly parts: Part[]; readonly to: number }
  | { readonly what: 'cancel' | 'retry the dead'; readonly to: number }
  | { readonly what: 'perform' };
/** While it runs: its jobs are performed before it is filled to the end. */
type How = 'at once' | 'while it runs' | 'in a transaction' | 'in one that is taken back' | 'until it fails';

const told: string[] = [];
const died = new Set<string>();
const batches = new Map<string, Batch>();

/** A job of a batch. Its label names the batch that it may create within. */
class PartJob extends Job<[part: Part, label: string]> {
  async perform(part: Part, label: string): Promise<void> {
    if (part === 'adds') await this.batch?.add(prepare('works', `${label}+`), prepare('dies', `${label}-`));
    if (part === 'nests') await create(label, this.batch, (open) => open.add(prepare('works', `${label}+`)));
    if (part === 'leaves') throw new DiscardJob('as told');
    if (part !== 'dies' || died.has(label)) return;
    died.add(label);
    throw new KillJob('as told');
  }
}

class ToldJob extends Job<[text: string]> {
  perform(text: string): void {
    told.push(text);
  }
}

const prepare = (part: Part, label: string) =>
  PartJob.set({ wait: part === 'later' ? '1h' : undefined }).prepare(part, label);

function create(name: string, parent: Batch | undefined, fill: (open: Batch) => unknown): Promise<Batch> {
  const callbacks = {
    onSuccess: ToldJob.prepare(`${name} success`),
    onComplete: ToldJob.prepare(`${name} complete`),
    onDeath: ToldJob.prepare(`${name} death`),
  };
  return Batch.create({ ...callbacks, parent }, (open) => {
    batches.set(name, open);
    return fill(open);
  });
}

interface Stage {
  /** Performs all jobs that are due. */
  readonly perform: () => Promise<unknown>;
  /** Waits until the callbacks that are due are enqueued. */
  readonly settles: () => Promise<unknown>;
}

/** @returns the result of each act, and what all batches were like after it. */
async function play(acts: readonly Act[], { perform, settles }: Stage): Promise<unknown[]> {
  for (const kept of [batches, died]) kept.clear();
  told.length = 0;
  const seen: unknown[] = [];
  for (const [n, act] of [...acts, { what: 'perform' } as const].entries()) {
    const result = await run(act, n, perform).catch((error: Error) => {
      if (error instanceof BatchEndedError || error instanceof TakenBack) return error.name;
      throw error;
    });
    await settles();
    const statuses: unknown[] = [];
    for (const [name, batch] of [...batches].sort()) {
      const { state, total, pending, dead, done } = (await batch.status()) ?? {};
      statuses.push([name, state, total, pending, dead, done]);
    }
    seen.push([act.what, result, [...told].sort(), statuses]);
  }
  return seen;
}

class TakenBack extends Error {
  override readonly name = 'TakenBack';
}

async function run(act: Act, n: number, perform: () => Promise<unknown>): Promise<unknown> {
  if (act.what === 'perform') return void (await perform());
  const existing = [...batches.values()];
  const nth = (number: number) => existing[number % existing.length];
  const prepared = ('parts' in act ? act.parts : []).map((part, i) => prepare(part, `${n}.${i}`));
  if (act.what === 'create') {
    const { how, parent } = act;
    const make = () =>
      create(`${n}`, parent === null ? undefined : nth(parent), async (open) => {
        if (how !== 'while it runs') await open.add(...prepared);
        if (how === 'until it fails') throw new TakenBack();
        if (how !== 'while it runs') return;
        // What is not a part of the filling is enqueued at once.
        await Batch.of(open.id).add(...prepared);
        await perform();
        await open.add(prepare('works', `${n}.last`));
      });
    if (how !== 'in a transaction' && how !== 'in one that is taken back') return void (await make());
    return transaction(async () => {
      await make();
      if (how === 'in one that is taken back') throw new TakenBack();
    });
  }
  const batch = nth(act.to);
  if (!batch) return undefined;
  if (act.what === 'cancel') return batch.cancel();
  if (act.what === 'retry the dead') return batch.retryDead();
  return transaction(async () => {
    await batch.add(...prepared);
    if (act.what !== 'add') throw new TakenBack();
  });
}

const someParts = fc.array(fc.constantFrom(...PARTS), { maxLength: 3 });
const ways: How[] = ['at once', 'while it runs', 'in a transaction', 'in one that is taken back', 'until it fails'];
const anAct: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    what: fc.constant('create' as const),
    parts: someParts,
    parent: fc.option(fc.nat(9)),
    how: fc.constantFrom('at once' as const, ...ways),
  }),
  fc.record({
    what: fc.constantFrom('add' as const, 'add, and take it back' as const),
    parts: someParts,
    to: fc.nat(9),
  }),
  fc.record({ what: fc.constantFrom('cancel' as const, 'retry the dead' as const), to: fc.nat(9) }),
  fc.constant({ what: 'perform' as const }),
);

describe('batches of fake jobs and of a job processor', () => {
  const system = useJobSystem();

  it('have the same numbers and callbacks, however they are nested, filled, cancelled and retried', async () => {
    const { database, events } = system;
    const enqueuer = new RowEnqueuer(database.knex, undefined, events);
    const real: Stage = {
      async perform() {
        await system.processor([PartJob, ToldJob], { jobs: { concurrency: 1 } });
        await isIdle(system);
        await system.stopProcessors();
      },
      settles: () =>
        until('callbacks are enqueued', async () => {
          const due = await system.postgres.query(`select where ${IS_ANY_BATCH_DUE()}`);
          return due.length === 0;
        }),
    };
    const fake: Stage = {
      async perform() {
        // It throws the error of each job that dies.
        while (await performEnqueuedJobs().catch(() => true));
      },
      settles: async () => undefined,
    };
    const alike = fc.asyncProperty(fc.array(anAct, { minLength: 3, maxLength: 10 }), async (acts) => {
      const mode = await useFakeJobs();
      const expected = await play(acts, fake).finally(() => mode.restore());
      Job.connect(enqueuer);
      assert.deepEqual(await play(acts, real), expected);
    });
    await fc.assert(alike, { ...runs(60), includeErrorInReport: true });
  });
});
