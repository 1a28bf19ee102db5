import createKnex, { type Knex } from 'knex';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Queues } from '../../../lib/job/queue/queues';
import { JobSets } from '../../../lib/job/set/job-sets';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import type { Scene } from './scene';

export const QUEUES = ['default', 'mailer'] as const;

/** Where an operator of the run sits: what the pages and `catamount jobs` are made of. */
export interface Desk {
  readonly sets: JobSets;
  readonly queues: Queues;
  readonly knex: Knex;
}

/** Past the networks that faults break. */
export async function atDesk<T>({ postgres, redis }: Scene, work: (desk: Desk) => Promise<T>): Promise<T> {
  const knex = createKnex({ client: 'pg', connection: postgres.urlBy(postgres.port), pool: { min: 0, max: 2 } });
  const connection = new Redis(redis.current.url, new Events());
  await connection.start();
  await until('Redis is connected', () => connection.client.isReady, { timeoutMs: 30_000 });
  const events = new Events();
  const sources = { redis: connection.client, knex, events, queues: QUEUES, via: 'the chaos run' };
  try {
    return await work({ sets: new JobSets(sources), queues: new Queues(sources), knex });
  } finally {
    await connection.stop(Deadline.after(1000));
    await knex.destroy();
  }
}
