import { setTimeout as wait } from 'node:timers/promises';
import { keyPrefix, queueKey } from '../../../lib/job/redis/keys';
import { until } from '../../support/until';
import type { ChoreKind } from '../ledger';
import { asOperator, type Environment, QUEUES } from '../scene/environment';
import type { Fault } from './faults';

/** For what is promised within some seconds, on a busy machine. */
const LIMIT = { timeoutMs: 90_000, everyMs: 200 };
const PILING_UP_MS = 2000;
const HALF_A_YEAR_MS = 185 * 24 * 3_600_000;
const TWO_HOURS_MS = 2 * 3_600_000;
/** Longer than it takes until each process has swept what it keeps. */
const SWEPT_MS = 12_000;

/** Ids of the dead jobs of a class, which are deleted: the balance expects no others. */
async function takeDead(environment: Environment, name: string): Promise<number> {
  return asOperator(environment, async ({ sets }) => (await sets.dead.deleteMany({ filter: { class: name } })).moved);
}

async function countDead(environment: Environment, name: string): Promise<number> {
  return asOperator(environment, ({ sets }) => sets.dead.count({ class: name }));
}

/** Those that are accepted. */
async function enqueue({ traffic }: Environment, kind: ChoreKind, many: number): Promise<number[]> {
  const ids = await Promise.all(Array.from({ length: many }, () => traffic.chores.enqueue(kind)));
  return ids.filter((id) => id !== undefined);
}

function haveRun({ jobLedger }: Environment, what: string, ids: readonly number[]): Promise<unknown> {
  const left = () => ids.filter((id) => !jobLedger.chores().has(id));
  return until(`${what} have run`, () => left().length === 0 || Promise.reject(new Error(`not yet: ${left()}`)), LIMIT);
}

const POISON: Fault = {
  name: 'poison-job',
  about: 'a job kills the job processor each time it runs, beside others that take as long: it alone is given up',
  async inject(environment) {
    const { traffic, jobLedger, incidents } = environment;
    const neighbours = await enqueue(environment, 'long', 3);
    const { id } = await traffic.chores.order('poison');
    const more = await enqueue(environment, 'long', 3);
    const dead = async () => (await countDead(environment, 'PoisonJob')) > 0;
    try {
      await until('the poison job is given up', dead, LIMIT);
    } finally {
      for (const at of jobLedger.killsBy(id)) incidents.push({ kind: 'processor died', at });
    }
    await haveRun(environment, 'its neighbours', [...neighbours, ...more]);
    await takeDead(environment, 'PoisonJob');
  },
};

type Place = 'waiting' | 'delayed' | 'held';
const PLACES: readonly (readonly Place[])[] = [['waiting'], ['delayed'], ['held'], ['waiting', 'delayed', 'held']];

/** Redis has the records, but for a part of what says where they are. Nothing is gone, so everything must run. */
const LISTS: Fault = {
  name: 'redis-lists-lost',
  about: 'the lists of waiting, delayed or held jobs are deleted in Redis, while their records stay',
  async inject(environment, roll) {
    const places = PLACES[roll(PLACES.length)] ?? ['waiting'];
    const keys = places.flatMap((place) =>
      place === 'held' ? [`${keyPrefix('default')}held:HeldJob`] : QUEUES.map((queue) => queueKey(queue, place)),
    );
    const held = await enqueue(environment, 'held', 12);
    await asOperator(environment, async ({ queues }) => {
      const paused = places.includes('waiting') ? QUEUES : [];
      for (const queue of paused) await queues.pause(queue);
      const later = await enqueue(environment, 'later', 6);
      const straight = await enqueue(environment, 'straight', 6);
      if (paused.length > 0) await wait(PILING_UP_MS);
      await environment.redis.command('DEL', ...keys);
      for (const queue of paused) await queues.resume(queue);
      await haveRun(environment, `jobs whose ${places} lists were deleted`, [...held, ...later, ...straight]);
    });
  },
};

const HALF_A_YEAR: Fault = {
  name: 'clock-half-a-year',
  about: 'the clock of the tree is 185 days ahead for a while: dead jobs stay, which are kept for 180',
  async inject(environment) {
    const { clock, ledger, traffic } = environment;
    await traffic.chores.order('doomed');
    const dead = () => countDead(environment, 'DoomedJob');
    await until('a job is dead', async () => (await dead()) === 1, LIMIT);
    try {
      clock.set(HALF_A_YEAR_MS);
      await traffic.chores.order('doomed');
      await until('another one is dead', async () => (await dead()) === 2, LIMIT).catch(async () => {
        ledger.broken.push(`the dead set has ${await dead()} of 2 jobs, by a clock that is half a year ahead`);
      });
      await wait(SWEPT_MS);
    } finally {
      clock.set(0);
    }
    const taken = await takeDead(environment, 'DoomedJob');
    if (taken !== 2) ledger.broken.push(`the dead set had ${taken} of 2 jobs, after the clock was half a year ahead`);
  },
};

const SOLE: Fault = {
  name: 'unique-in-a-backlog',
  about: 'a unique job waits in a paused queue, and two hours pass by the clock of the tree: it stays the only one',
  async inject(environment) {
    const { clock, ledger, traffic, jobLedger } = environment;
    const isTaken = async (id: number) => {
      const { body } = await traffic.chores.order('sole', id);
      return (JSON.parse(body) as { readonly enqueued: boolean }).enqueued;
    };
    const refuse = async (id: number, when: string) => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => isTaken(id)));
      if (answers.includes(true)) ledger.broken.push(`unique job ${id} was enqueued a second time ${when}`);
    };
    await asOperator(environment, async ({ queues, knex }) => {
      await queues.pause('default');
      const { id, body } = await traffic.chores.order('sole');
      if (!body.includes('"enqueued":true')) ledger.broken.push(`unique job ${id} was refused: ${body}`);
      ledger.chores.push({ id, kind: 'sole', at: performance.now() });
      try {
        await refuse(id, 'while it waited');
        clock.set(TWO_HOURS_MS);
        await wait(PILING_UP_MS);
        await refuse(id, 'two hours later');
      } finally {
        clock.set(0);
      }
      await queues.resume('default');
      await haveRun(environment, 'unique jobs', [id]);
      const ended = async () => (await knex('job_outbox').where('class', 'SoleJob')).length === 0;
      await until('no unique job is left', ended, LIMIT);
      const runs = () => jobLedger.chores().get(id);
      if (runs() !== 1) ledger.broken.push(`unique job ${id} ran ${runs()} times`);
      if (!(await isTaken(id))) ledger.broken.push(`unique job ${id} was refused after it had ended`);
      await until('it runs once more', () => runs() === 2, LIMIT);
    });
  },
};

/** Every job that was accepted runs, and nobody else is blamed. */
export const JOB_FAULTS: readonly Fault[] = [POISON, LISTS, HALF_A_YEAR, SOLE];
