import type { Knex } from 'knex';
import type { RedisClient } from '../core/redis';
import { readStates } from '../job/cron/cron-table';
import { History } from '../job/history/history';
import { queueKey } from '../job/redis/keys';

/** Over how long failures are counted, ms: long enough that a retry storm does not look like calm between two waves. */
export const FAILURES_MS = 5 * 60_000;
/** For how long a death is news, ms, unless an operator has dealt with the job. */
export const DEATHS_MS = 24 * 3_600_000;
/** So many runs of a class must have failed, and this share of all its runs, before it is called failing. */
const FAILED = 5;
const FAILED_SHARE = 0.1;
/** Classes that are named. */
const MOST_CLASSES = 5;

export interface FailingClass {
  readonly class: string;
  readonly failed: number;
  readonly runs: number;
}

export interface JobFailures {
  /** Those that fail most come first. */
  readonly classes: readonly FailingClass[];
  /** Over how long they were counted, ms. */
  readonly spanMs: number;
  /** Jobs that died lately and are still in the dead set. */
  readonly dead: number;
  readonly deadSpanMs: number;
}

/** @throws what Redis does. */
export async function readFailures(
  redis: RedisClient,
  queues: readonly string[],
  now: Date = new Date(),
): Promise<JobFailures> {
  const since = now.getTime() - DEATHS_MS;
  const [{ classes }, ...dead] = await Promise.all([
    new History(redis).sum(new Date(now.getTime() - FAILURES_MS), now),
    ...queues.map((queue) => redis.zCount(queueKey(queue, 'dead'), since, '+inf')),
  ]);
  const failing = classes
    .map(({ class: name, failed, processed }) => ({ class: name, failed, runs: failed + processed }))
    .filter(({ failed, runs }) => failed >= FAILED && failed >= runs * FAILED_SHARE)
    .sort((a, b) => b.failed - a.failed);
  return {
    classes: failing.slice(0, MOST_CLASSES),
    spanMs: FAILURES_MS,
    dead: dead.reduce((sum, count) => sum + count, 0),
    deadSpanMs: DEATHS_MS,
  };
}

/** A recurring job whose latest run has failed. */
export interface FailingCron {
  readonly name: string;
  /** Where that run is: it will be tried again, or it will not. */
  readonly place: 'retry' | 'dead';
}

/** @throws what Postgres or Redis does. */
export async function readFailingCron(
  knex: Knex,
  redis: RedisClient,
  queues: readonly string[],
): Promise<readonly FailingCron[]> {
  const failing: FailingCron[] = [];
  for (const { name, last_enqueued_id: id, known } of await readStates(knex)) {
    if (id === null || !known) continue;
    // On demand, since it brings all sets of jobs along: a worker without recurring jobs never needs them.
    const { findJob } = await import('../job/set/find-job');
    const { place } = await findJob({ redis, knex, queues }, { id });
    if (place === 'retry' || place === 'dead') failing.push({ name, place });
  }
  return failing;
}
