import { queueKey } from '../../../lib/job/hint/keys';
import { until } from '../../support/until';
import type { TaskKind } from '../ledger';
import { asOperator, type Environment, QUEUES } from '../scene/environment';
import type { Fault } from './faults';

/** Limit of waits for effects that take some seconds, generous for a busy machine. */
const LIMIT = { timeoutMs: 90_000, everyMs: 200 };

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
      const poison = await traffic.tasks.poison();
      await queues.resume('default');
      return { id: poison, neighbours: longs };
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

/** Every accepted job must run, and no other job may be blamed for a crash. */
export const JOB_FAULTS: readonly Fault[] = [POISON, HINTS];
