import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SetName } from '../../../lib/job/sets/entry';
import type { BulkResult, Selection } from '../../../lib/job/sets/query';
import { inSuite } from '../../support/suite';
import { useJobSystem } from '../job-system';
import { isMoved, setSources, setsOf } from './set-sources';
import { store, storeDead } from './stored-job';

const QUEUES = ['default', 'mailer'];
const SOON = Date.now() + 3_600_000;

/** The model of a job: where it is, and how the moves of a set change it. */
interface ModelJob {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  place: SetName | 'gone';
  attempts: number;
}

type Kind = 'retry' | 'scheduled' | 'dead' | 'waiting';
type Verb = 'retry' | 'promote' | 'kill' | 'delete';
const VERBS: { readonly [S in Kind]: readonly Verb[] } = {
  retry: ['retry', 'kill', 'delete'],
  scheduled: ['promote', 'kill', 'delete'],
  dead: ['retry', 'delete'],
  waiting: ['delete'],
};
type Move = readonly [Kind, Verb];
const MOVES = Object.entries(VERBS).flatMap(([set, verbs]) => verbs.map((verb) => [set, verb] as Move));

const step = fc.record({
  move: fc.constantFrom(...MOVES),
  // One job, some by their ids, all of a class, or all.
  choice: fc.constantFrom('one', 'one', 'one', 'some', 'class', 'all'),
  numbers: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
});

describe('moves of jobs', () => {
  const system = useJobSystem();
  const sets = inSuite(undefined, () => setsOf(setSources(system)));

  async function create(kind: Kind, index: number): Promise<ModelJob> {
    const { knex } = system.database;
    const queue = QUEUES[index % 2] ?? '';
    const name = index % 3 === 0 ? 'RedJob' : 'BlueJob';
    const errors = kind === 'retry' || kind === 'dead' ? ['once'] : [];
    const job = { queue, class: name, errors, at: kind === 'dead' ? SOON - 7_200_000 : SOON + index };
    const id = await (kind === 'dead'
      ? storeDead(knex, job)
      : store(knex, kind === 'waiting' ? 'ready' : 'scheduled', job));
    return { id, queue, class: name, place: kind, attempts: errors.length };
  }

  /** @returns whether the job is moved. */
  function expectMove(job: ModelJob, [set, verb]: Move): boolean {
    if (job.place !== set) return false;
    if (verb === 'delete') job.place = 'gone';
    else if (verb === 'kill') job.place = 'dead';
    else {
      job.place = 'waiting';
      if (set === 'dead') job.attempts = 0;
    }
    return true;
  }

  function moveMany([set, verb]: Move, selection: Selection): Promise<BulkResult> {
    return sets[set].move(verb, selection);
  }

  async function apply(
    jobs: readonly ModelJob[],
    { move, choice, numbers }: { move: Move; choice: string; numbers: number[] },
  ): Promise<void> {
    const picked = [...new Set(numbers.flatMap((number) => jobs[number % jobs.length] ?? []))];
    system.heard.length = 0;
    let moved: number;
    if (choice === 'one' || choice === 'some') {
      const some = choice === 'one' ? picked.slice(0, 1) : picked;
      moved = some.filter((job) => expectMove(job, move)).length;
      // The same id twice is one job.
      const ids = [...some, ...some].map((job) => job.id);
      assert.deepEqual(await moveMany(move, { ids }), { moved, complete: true }, move.join());
    } else {
      const name = choice === 'class' ? 'RedJob' : undefined;
      const matching = jobs.filter((job) => name === undefined || job.class === name);
      moved = matching.filter((job) => expectMove(job, move)).length;
      assert.deepEqual(await moveMany(move, { filter: { class: name } }), { moved, complete: true }, move.join());
    }
    const told = system.eventsNamed('operator.jobs');
    assert.deepEqual(told, moved ? [{ action: move[1], set: move[0], count: moved, via: 'cli:test' }] : []);
  }

  async function checkState(jobs: readonly ModelJob[]): Promise<void> {
    for (const job of jobs) {
      const { place, entry } = await sets.find(job.id);
      assert.equal(place, job.place);
      if (job.place === 'gone') continue;
      assert.deepEqual(
        [entry?.id, entry?.queue, entry?.set, entry?.attempts, entry?.class],
        [job.id, job.queue, job.place, job.attempts, job.class],
      );
    }
    for (const name of ['retry', 'scheduled', 'dead', 'waiting'] as const) {
      const { entries } = await sets[name].page();
      const expected = jobs.filter((job) => job.place === name).map((job) => job.id);
      assert.deepEqual(entries.map((entry) => entry.id).sort(), expected.sort());
      assert.equal(await sets[name].count(), expected.length);
    }
  }

  it('leave each job in one place, and count those that they have moved', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<Kind[]>('retry', 'scheduled', 'dead', 'waiting'), { minLength: 1, maxLength: 8 }),
        fc.array(step, { maxLength: 10 }),
        async (kinds, steps) => {
          await system.postgres.query('truncate job_queue, job_dead');
          const jobs: ModelJob[] = [];
          for (const [index, kind] of kinds.entries()) jobs.push(await create(kind, index));
          await checkState(jobs);
          for (const one of steps) {
            await apply(jobs, one);
            await checkState(jobs);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  it('update reason, attempts and time', async () => {
    const begun = Date.now() - 1000;
    const { id } = await create('retry', 0);
    await isMoved(sets.retry.move('kill', { ids: [id] }));
    const [dead] = (await sets.dead.page()).entries;
    assert.deepEqual([dead?.reason, dead?.errors.length], ['killed by an operator', 1]);
    await isMoved(sets.dead.move('retry', { ids: [id] }));
    const { place, entry: queued } = await sets.find(id);
    assert.deepEqual([place, queued?.reason, queued?.attempts, queued?.errors.length], ['waiting', undefined, 0, 1]);
    assert.ok((queued?.at?.getTime() ?? 0) >= begun, 'its latency is counted from now');
  });

  it('put jobs on the tails of their queues, behind those that wait', async () => {
    const first = await store(system.database.knex, 'ready', { at: Date.now() - 1000 });
    const scheduled = await store(system.database.knex, 'scheduled', { at: SOON });
    await sets.scheduled.move('promote', { ids: [scheduled] });
    const { entries } = await sets.waiting.page();
    assert.deepEqual(
      entries.map((entry) => entry.id),
      [first, scheduled],
    );
  });

  it('of a job may name its queue, and then leave those of others alone', async () => {
    const { id } = await create('dead', 0);
    assert.equal(await isMoved(sets.dead.move('delete', { ids: [{ id, queue: 'mailer' }] })), false);
    assert.equal(await isMoved(sets.dead.move('delete', { ids: [{ id, queue: 'default' }] })), true);
  });
});
