import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { ReadyJob } from './claim';

/**
 * Makes the jobs of dead processors ready again. The jobs keep their `run_at`, and the caller hints at them at the heads of
 * their queues, so they go first. Their deliveries stay counted, since each may have killed its process.
 *
 * A processor that was only frozen runs on, and its outcome is void. Its next `checkpoint` throws, and its next `progress`
 * aborts the signal (`perform/checkpoint`).
 * @param identity of a processor that is known to be dead. Default: all that have been silent for `silentMs`.
 * @param silentMs processors silent for this long count as dead, measured when the statement starts. A living one that runs
 * something long reports every 5 s.
 */
export async function rescue(knex: Knex, { identity, silentMs }: Rescue): Promise<RescuedJob[]> {
  const dead = `not exists (
    select from ${TABLES.processes} as process
    where process.identity = claimed_by and process.seen_at > now() - ? * interval '1 millisecond')`;
  const { rows } = await knex.raw<{ rows: RescuedJob[] }>(
    `update ${TABLES.jobs} set state = 'ready', claimed_by = null
     from (select id, claimed_by as identity from ${TABLES.jobs} where state = 'running'
       ${identity === undefined ? '' : 'and claimed_by = ?'}
       ${silentMs === undefined ? '' : `and claimed_at < now() - ? * interval '1 millisecond' and ${dead}`}
       for update skip locked) as lost
     where ${TABLES.jobs}.id = lost.id returning ${TABLES.jobs}.id, queue, lost.identity`,
    [...(identity === undefined ? [] : [identity]), ...(silentMs === undefined ? [] : [silentMs, silentMs])],
  );
  return rows;
}

interface Rescue {
  readonly identity?: string | undefined;
  readonly silentMs?: number | undefined;
}

export interface RescuedJob extends ReadyJob {
  /** The processor that had the job. */
  readonly identity: string;
}

/** Shows that this processor lives while it runs something long. Forgets processors that have been silent for a day. */
export async function showLife(knex: Knex, identity: string): Promise<void> {
  await knex.raw(
    `with silent as (delete from ${TABLES.processes} where seen_at < clock_timestamp() - interval '1 day')
     insert into ${TABLES.processes} (identity) values (?)
     on conflict (identity) do update set seen_at = clock_timestamp()`,
    [identity],
  );
}

/** @returns true when a job is running anywhere. */
export async function isAnyRunning(knex: Knex): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: { readonly running: boolean }[] }>(
    `select exists (select from ${TABLES.jobs} where state = 'running') as running`,
  );
  return rows[0]?.running === true;
}
