import { setTimeout as wait } from 'node:timers/promises';
import { queueKey } from '../../../lib/job/hint/keys';
import { until } from '../../support/until';
import type { TaskKind } from '../ledger';
import { asOperator, type Environment, QUEUES } from '../scene/environment';
import type { Fault } from './faults';

/** Limit of waits for effects that take some seconds, generous for a busy machine. */
const LIMIT = { timeoutMs: 90_000, everyMs: 200 };
const PILING_UP_MS = 2000;
const HALF_A_YEAR_MS = 185 * 24 * 3_600_000;
const TWO_HOURS_MS = 2 * 3_600_000;
/** Longer than the interval at which each process sweeps its caches, ms. */
const SWEPT_MS = 12_000;

/** Deletes the dead jobs of a class, since the balance counts dead jobs as losses. @returns how many there were. */
async function takeDead(environment: Environment, name: string): Promise<number> {
  return asOperator(
    environment,
    async ({ admin }) => (await admin.act('delete', 'dead', { filter: { class: name } })).moved,
  );
}

async function countDead(environment: Environment, name: string): Promise<number> {
  return asOperator(environment, async ({ admin }) => (await admin.set('dead')).count({ class: name }));
}

/** Enqueues tasks. @returns the ids of those that were accepted. */
async function enqueue({ traffic }: Environment, kind: TaskKind, many: number): Promise<number[]> {
  const ids = await Promise.all(Array.from({ length: many }, () => traffic.tasks.enqueue(kind)));
  return ids.filter((id) => id !== undefined);
}

function haveRun({ jobLedger }: Environment, what: string, ids: readonly number[]): Promise<unknown> {
  const left = () => ids.filter((id) => !jobLedger.tasks().has(id));
  return until(`${what} have run`, () => left().length === 0 || Promise.reject(new Error(`not yet: ${left()}`)), LIMIT);
}

const POISON: Fault = {
  name: 'poison-job',
  about: 'a job kills the job processor each time it runs, next to other jobs: it alone dies',
  async inject(environment) {
    const { traffic, jobLedger, incidents } = environment;
    // There are so few of them, next to each other in the queue, that they always run at the same time.
    const { id, neighbours } = await asOperator(environment, async ({ admin: { queues } }) => {
      await queues.pause('default');
      const longs = await enqueue(environment, 'long', 3);
      const poison = await traffic.tasks.order('poison');
      await queues.resume('default');
      return { id: poison.id, neighbours: longs };
    });
    const dead = async () => (await countDead(environment, 'PoisonJob')) > 0;
    try {
      await until('the poison job is dead', dead, LIMIT);
    } finally {
      for (const at of jobLedger.killsBy(id)) incidents.push({ kind: 'processor died', at });
    }
    await haveRun(environment, 'its neighbours', neighbours);
    await takeDead(environment, 'PoisonJob');
  },
};

const MANY = 20;

/** The hints are lost while Redis goes on. No job is gone, so all must run. */
const HINTS: Fault = {
  name: 'redis-hints-lost',
  about: 'the hints at waiting jobs are deleted in Redis, which stays up',
  async inject(environment) {
    const keys = QUEUES.map((queue) => queueKey(queue, 'waiting'));
    await asOperator(environment, async ({ admin: { queues } }) => {
      for (const queue of QUEUES) await queues.pause(queue);
      const ids = await enqueue(environment, 'alone', MANY);
      await environment.redis.command('DEL', ...keys);
      for (const queue of QUEUES) await queues.resume(queue);
      await haveRun(environment, 'the jobs whose hints were deleted', ids);
    });
  },
};

const HALF_A_YEAR: Fault = {
  name: 'clock-half-a-year',
  about: 'the clock of the tree is 185 days ahead for a while: dead jobs, which are kept for 180, stay',
  async inject(environment) {
    const { clock, ledger, traffic } = environment;
    await traffic.tasks.order('dying');
    const dead = () => countDead(environment, 'DyingJob');
    await until('a job is dead', async () => (await dead()) === 1, LIMIT);
    try {
      clock.set(HALF_A_YEAR_MS);
      await traffic.tasks.order('dying');
      await until('another one is dead', async () => (await dead()) === 2, LIMIT).catch(async () => {
        ledger.broken.push(`the dead set has ${await dead()} of 2 jobs while the clock is half a year ahead`);
      });
      await wait(SWEPT_MS);
    } finally {
      clock.set(0);
    }
    const taken = await takeDead(environment, 'DyingJob');
    if (taken !== 2) ledger.broken.push(`the dead set had ${taken} of 2 jobs after the clock was half a year ahead`);
  },
};

const UNIQUE: Fault = {
  name: 'unique-in-a-backlog',
  about: 'a unique job waits in a paused queue, and two hours pass: it stays the only one',
  async inject(environment) {
    const { clock, ledger, traffic, jobLedger } = environment;
    const isTaken = async (id: number) => {
      const { body } = await traffic.tasks.order('unique', id);
      return (JSON.parse(body) as { readonly enqueued: boolean }).enqueued;
    };
    const refuse = async (id: number, when: string) => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => isTaken(id)));
      if (answers.includes(true)) ledger.broken.push(`unique job ${id} was enqueued a second time ${when}`);
    };
    await asOperator(environment, async ({ admin: { queues }, knex }) => {
      await queues.pause('default');
      const { id, body } = await traffic.tasks.order('unique');
      if (!body.includes('"enqueued":true')) ledger.broken.push(`unique job ${id} was refused: ${body}`);
      ledger.tasks.push({ id, kind: 'unique', at: performance.now() });
      try {
        await refuse(id, 'while it waited');
        clock.set(TWO_HOURS_MS);
        // Claims expire by the clock of Postgres, which cannot be set, so the row is made two hours older instead.
        await knex.raw(`update job_queue set run_at = run_at - interval '2 hours',
          created_at = created_at - interval '2 hours', unique_until = unique_until - interval '2 hours'
          where class = 'UniqueJob'`);
        await wait(PILING_UP_MS);
        await refuse(id, 'two hours later');
      } finally {
        clock.set(0);
      }
      await queues.resume('default');
      await haveRun(environment, 'unique jobs', [id]);
      const ended = async () => (await knex('job_queue').where('class', 'UniqueJob')).length === 0;
      await until('no unique job is left', ended, LIMIT);
      const runs = () => jobLedger.tasks().get(id);
      if (runs() !== 1) ledger.broken.push(`unique job ${id} ran ${runs()} times`);
      if (!(await isTaken(id))) ledger.broken.push(`unique job ${id} was refused after it had ended`);
      await until('the unique job runs once more', () => runs() === 2, LIMIT);
    });
  },
};

/** Every accepted job must run, and no other job may be blamed for a crash. */
export const JOB_FAULTS: readonly Fault[] = [POISON, HINTS, HALF_A_YEAR, UNIQUE];
