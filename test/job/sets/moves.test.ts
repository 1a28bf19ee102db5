import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { SetName } from '../../../lib/job/sets/entry';
import type { BulkResult, Selection } from '../../../lib/job/sets/query';
import { useJobSystem } from '../job-system';
import { isMoved, type Sets, setSources, setsOf } from './set-sources';
import { payloadText, store, storeDead } from './stored-job';

const QUEUES = ['default', 'mailer'];
const SOON = Date.now() + 3_600_000;
const LATER = new Date(SOON + 1000);

/** The model of a job: where it is, and how the moves of a set change it. */
interface Job {
  readonly id: string;
  readonly queue: string;
  readonly class: string;
  readonly readable: boolean;
  place: SetName | 'gone';
  /** The job is only in its row, not in Redis. */
  inPostgres: boolean;
  hasRow: boolean;
  attempts: number;
}

const KINDS = [
  'retry',
  'retry of the outbox',
  'dead',
  'unreadable dead',
  'row',
  'plain delayed',
  'waiting',
  'plain dead',
] as const;
type Kind = (typeof KINDS)[number];

/** The moves of each set, by their names in the model. */
type Verb = 'retry' | 'promote' | 'reschedule' | 'kill' | 'delete';
const VERBS: { readonly [S in 'retry' | 'dead' | 'scheduled']: readonly Verb[] } = {
  retry: ['retry', 'reschedule', 'kill', 'delete'],
  dead: ['retry', 'delete'],
  scheduled: ['promote', 'reschedule', 'kill', 'delete'],
};
type Op = readonly ['retry' | 'dead' | 'scheduled', Verb];
const OPS = Object.entries(VERBS).flatMap(([set, verbs]) => verbs.map((verb) => [set, verb] as Op));

const retryOrDead = (kind: Kind) => (kind.startsWith('retry') ? 'retry' : 'dead');

const step = fc.record({
  op: fc.constantFrom(...OPS),
  // One job, some by their ids, all of a class, or all.
  choice: fc.constantFrom('one', 'one', 'one', 'some', 'class', 'all'),
  numbers: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
});

describe('moves of jobs', () => {
  let sets: Sets;
  const system = useJobSystem();
  before(() => {
    sets = setsOf(setSources(system));
  });

  async function create(kind: Kind, index: number): Promise<Job> {
    const { client } = system.redis;
    const job = {
      id: kind.startsWith('plain') ? String(index) : randomUUID(),
      queue: QUEUES[index % 2] ?? '',
      class: index % 3 === 0 ? 'RedJob' : 'BlueJob',
      readable: !kind.startsWith('unreadable'),
      inPostgres: kind === 'row',
      hasRow: kind === 'row' || kind === 'retry of the outbox',
      attempts: 0,
    };
    const { id, queue } = job;
    const stored = { ...job, via: job.hasRow ? ('outbox' as const) : ('redis' as const), at: SOON + index };
    if (job.hasRow) {
      await system.postgres.query(
        'insert into job_outbox (id, queue, class, payload, run_at, dispatched_at) values ($1, $2, $3, $4, $5, $6)',
        [id, queue, job.class, payloadText(stored), new Date(SOON + index), kind === 'row' ? null : new Date()],
      );
    }
    if (kind === 'row') return { ...job, place: 'scheduled' };
    if (kind === 'waiting') await store(client, 'waiting', stored);
    else if (kind === 'plain delayed') await store(client, 'delayed', stored);
    else if (kind.startsWith('retry')) await store(client, 'delayed', { ...stored, errors: ['once'] });
    else
      await storeDead(system.database.knex, {
        ...stored,
        at: SOON - 7_200_000 + index,
        errors: ['once'],
        ...(!job.readable && { text: '{"data":{"v' }),
      });
    const place = kind === 'waiting' ? kind : kind === 'plain delayed' ? 'scheduled' : retryOrDead(kind);
    return { ...job, place, attempts: place === 'retry' || (place === 'dead' && job.readable) ? 1 : 0 };
  }

  /** Applies a move to the model. @returns whether the job is moved. */
  function expectMove(job: Job, [set, verb]: Op): boolean {
    if (job.place !== set) return false;
    if (verb === 'delete' || verb === 'kill') {
      job.place = verb === 'kill' ? 'dead' : 'gone';
      job.hasRow = false;
      job.inPostgres = false;
    } else if (verb !== 'reschedule') {
      job.place = 'waiting';
      if (set === 'dead') {
        job.attempts = 0;
        job.hasRow = job.readable && job.id.includes('-');
        job.inPostgres = job.hasRow;
      }
    }
    return true;
  }

  function moveOne([set, verb]: Op, id: string): Promise<boolean> {
    if (set === 'dead')
      return verb === 'retry'
        ? isMoved(sets.dead.retryMany({ ids: [id] }))
        : isMoved(sets.dead.deleteMany({ ids: [id] }));
    const moved = sets[set];
    if (verb === 'reschedule') return isMoved(moved.rescheduleMany({ ids: [id] }, LATER));
    if (verb === 'kill') return isMoved(moved.killMany({ ids: [id] }));
    if (verb === 'delete') return isMoved(moved.deleteMany({ ids: [id] }));
    return set === 'retry'
      ? isMoved(sets.retry.retryMany({ ids: [id] }))
      : isMoved(sets.scheduled.promoteMany({ ids: [id] }));
  }

  function moveMany([set, verb]: Op, selection: Selection): Promise<BulkResult> {
    if (set === 'dead') return verb === 'retry' ? sets.dead.retryMany(selection) : sets.dead.deleteMany(selection);
    const moved = sets[set];
    if (verb === 'reschedule') return moved.rescheduleMany(selection, LATER);
    if (verb === 'kill') return moved.killMany(selection);
    if (verb === 'delete') return moved.deleteMany(selection);
    return set === 'retry' ? sets.retry.retryMany(selection) : sets.scheduled.promoteMany(selection);
  }

  async function apply(
    jobs: readonly Job[],
    { op, choice, numbers }: { op: Op; choice: string; numbers: number[] },
  ): Promise<void> {
    const picked = numbers.flatMap((number) => jobs[number % jobs.length] ?? []);
    const [first] = picked;
    system.heard.length = 0;
    let moved = 0;
    if (choice === 'one' && first) {
      const expected = expectMove(first, op);
      assert.equal(await moveOne(op, first.id), expected, `${op} of a job that is ${first.place}`);
      moved = Number(expected);
    } else if (choice === 'some') {
      // The same id twice is one job.
      moved = [...new Set(picked)].filter((job) => expectMove(job, op)).length;
      assert.deepEqual(await moveMany(op, { ids: picked.map((job) => job.id) }), { moved, complete: true });
    } else {
      const name = choice === 'class' ? 'RedJob' : undefined;
      const matching = jobs.filter((job) => !name || (job.class === name && job.readable));
      // Jobs that already wait for that moment need not be moved, and are not counted.
      const isMoved = (job: Job) =>
        expectMove(job, op) && !(op[1] === 'reschedule' && job.place === op[0] && later.has(job));
      moved = matching.filter(isMoved).length;
      assert.deepEqual(await moveMany(op, { filter: { class: name } }), { moved, complete: true });
    }
    if (op[1] === 'reschedule') {
      for (const job of choice === 'one' && first ? [first] : choice === 'some' ? picked : jobs) {
        if (job.place === op[0] && (choice !== 'class' || job.class === 'RedJob')) later.add(job);
      }
    }
    const told = system.eventsNamed('operator.jobs');
    assert.deepEqual(told, moved ? [{ action: op[1], set: op[0], count: moved, via: 'cli:test' }] : []);
  }

  /** The jobs that were rescheduled to LATER. */
  const later = new Set<Job>();

  async function checkState(jobs: readonly Job[]): Promise<void> {
    const rows = await system.postgres.query<{ id: string; dispatched: boolean; due: boolean }>(
      'select id, dispatched_at is not null as dispatched, run_at <= now() as due from job_outbox',
    );
    for (const job of jobs) {
      const row = rows.find((one) => one.id === job.id);
      const state = !row ? 'none' : row.dispatched ? 'dispatched' : row.due ? 'due' : 'scheduled';
      const undispatched = job.place === 'waiting' ? 'due' : 'scheduled';
      const wanted = !job.hasRow ? 'none' : job.inPostgres ? undispatched : 'dispatched';
      assert.equal(state, wanted, `the row of a job that is ${job.place}`);
      const { place, entry } = await sets.find(job.id);
      assert.equal(place, job.place === 'gone' ? 'gone' : job.place);
      if (job.place === 'gone') continue;
      assert.deepEqual(
        [entry?.id, entry?.queue, entry?.set, entry?.attempts],
        [job.id, job.queue, job.place, job.attempts],
      );
      assert.deepEqual(
        [entry?.class, entry?.unreadable !== undefined],
        [job.readable ? job.class : undefined, !job.readable],
      );
    }
    const idsAt = (...places: string[]) =>
      jobs
        .filter((job) => places.includes(job.place))
        .map((job) => job.id)
        .sort();
    for (const name of ['retry', 'scheduled', 'dead'] as const) {
      const { entries } = await sets[name].page();
      assert.deepEqual(entries.map((entry) => entry.id).sort(), idsAt(name));
      assert.equal(await sets[name].size(), idsAt(name).length);
    }
    const queued = await Promise.all(QUEUES.map(async (queue) => (await sets.waiting(queue).page()).entries));
    const toldToRelay = jobs.filter((job) => job.place === 'waiting' && job.inPostgres).map((job) => job.id);
    assert.deepEqual([...queued.flat().map((entry) => entry.id), ...toldToRelay].sort(), idsAt('waiting'), 'once each');
  }

  it('leave each job in one place, with the right row or none', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...KINDS), { minLength: 1, maxLength: 8 }),
        fc.array(step, { maxLength: 10 }),
        async (kinds, steps) => {
          await system.redis.client.flushAll();
          await system.postgres.query('truncate job_outbox, job_dead, job_handovers');
          later.clear();
          const jobs: Job[] = [];
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

  it('update reason, attempts and time in the record', async () => {
    const before = Date.now();
    const { id } = await create('retry', 0);
    await isMoved(sets.retry.killMany({ ids: [id] }));
    const [dead] = (await sets.dead.page()).entries;
    assert.deepEqual([dead?.reason, dead?.errors.length], ['killed by an operator', 1]);
    await isMoved(sets.dead.retryMany({ ids: [id] }));
    const { place, entry: queued } = await sets.find(id);
    assert.deepEqual([place, queued?.reason, queued?.attempts, queued?.errors.length], ['waiting', undefined, 0, 1]);
    assert.ok((queued?.at?.getTime() ?? 0) >= before, 'its latency is counted from now');
  });
});
