import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Pause } from './pauses';

/** The jobs of a queue. */
export interface QueueStatus {
  /** The name of the queue. */
  readonly name: string;
  /** Jobs that wait to be fetched; 10,000 are counted at most, as of all others. */
  readonly waiting: number;
  /** Jobs that run. */
  readonly active: number;
  /** Jobs set aside while their class is at its limit; they go first when it is free. */
  readonly blocked: number;
  /** Retries and scheduled jobs that are not due yet. */
  readonly delayed: number;
  /** Time that the next job has waited since it became ready, ms; 0 when none waits. */
  readonly latencyMs: number;
  /** Class of the next job; undefined when none waits. */
  readonly next: string | undefined;
  /** undefined when the queue is not paused. */
  readonly paused: Pause | undefined;
}

/** Counts end here, so that they stay fast. */
export const MAX_COUNTED = 10_000;

interface Row {
  readonly name: string;
  readonly waiting: number;
  readonly active: number;
  readonly blocked: number;
  readonly delayed: number;
  readonly latencyMs: number | null;
  readonly next: string | null;
  readonly since: Date | null;
  readonly by: string | null;
}

const STATES = { active: 'running', blocked: 'held', delayed: 'scheduled' } as const;
/** The rows of a state that are looked at, whatever their queue. */
const MAX_LOOKED_AT = 50_000;

/** Reads the status of these queues, in their order. @throws errors of Postgres. */
export async function readQueues(knex: Knex, names: readonly string[]): Promise<readonly QueueStatus[]> {
  if (names.length === 0) return [];
  const others = Object.entries(STATES).map(
    ([name, state]) => `${name} as (
      select queue, count(*)::int as count from (
        select queue from ${TABLES.jobs} where state = '${state}' limit ${MAX_LOOKED_AT}
      ) as looked group by queue
    )`,
  );
  const { rows } = await knex.raw<{ rows: Row[] }>(
    `with ${others.join(', ')}
     select served.name, coalesce(active.count, 0) as active, coalesce(blocked.count, 0) as blocked,
       coalesce(delayed.count, 0) as delayed, next.class as next, paused_at as since, paused_by as by,
       (extract(epoch from clock_timestamp() - next.run_at) * 1000)::float8 as "latencyMs",
       (select count(*)::int from (
         select 1 from ${TABLES.jobs} where state = 'ready' and queue = served.name limit ${MAX_COUNTED}
       ) as counted) as waiting
     from unnest(?::text[]) with ordinality as served (name, position)
       left join active on active.queue = served.name
       left join blocked on blocked.queue = served.name
       left join delayed on delayed.queue = served.name
       left join ${TABLES.pauses} as pause on pause.queue = served.name
       left join lateral (
         select class, run_at from ${TABLES.jobs} where state = 'ready' and queue = served.name order by run_at limit 1
       ) as next on true
     order by position`,
    [[...names]] as unknown as Knex.RawBinding[],
  );
  return rows.map(({ latencyMs, next, since, by, ...row }) => ({
    ...row,
    latencyMs: Math.max(0, Math.round(latencyMs ?? 0)),
    next: next ?? undefined,
    paused: since === null ? undefined : { since, by: by ?? 'unknown' },
  }));
}

/** @returns the configured queues, in their order, then all others that have jobs, by name. @throws errors of Postgres. */
export async function knownQueues(knex: Knex, configured: readonly string[]): Promise<string[]> {
  const step = (name: string, table: string, also: string) => `${name} (queue) as (
    (select queue from ${table} where ${also} order by queue limit 1)
    union all
    select (select job.queue from ${table} as job where ${also} and job.queue > ${name}.queue order by job.queue limit 1)
    from ${name} where ${name}.queue is not null
  )`;
  const { rows } = await knex.raw<{ rows: { readonly queue: string }[] }>(
    `with recursive ${step('ready', TABLES.jobs, `state = 'ready'`)}, ${step('dead', TABLES.dead, 'true')}
     select queue from (
       select queue from ready union select queue from dead
       union select queue from (select queue from ${TABLES.jobs} where state <> 'ready' limit ${MAX_LOOKED_AT}) as others
       union select queue from ${TABLES.pauses}
     ) as known where queue is not null order by queue`,
  );
  return [...new Set([...configured, ...rows.map(({ queue }) => queue)])];
}
