import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { MAY_RUN, type ReadyJob } from './claim';

/**
 * Makes the jobs of dead processors ready again. The jobs keep their `run_at`, and the caller hints at them at the heads of
 * their queues, so they go first. Their deliveries stay counted, since each may have killed its process. Those that were asked to
 * cancel leave instead.
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
    `with lost as materialized (
       select id, claimed_by as identity, cancel_reason as reason from ${TABLES.jobs} where state = 'running'
       ${identity === undefined ? '' : 'and claimed_by = ?'}
       ${silentMs === undefined ? '' : `and claimed_at < now() - ? * interval '1 millisecond' and ${dead}`}
       for update skip locked
     ), cancelled as (
       delete from ${TABLES.jobs} using lost where ${TABLES.jobs}.id = lost.id and reason is not null
       returning ${TABLES.jobs}.id, class, queue, identity, reason
     ), rescued as (
       update ${TABLES.jobs} set state = ${MAY_RUN}, claimed_by = null from lost where ${TABLES.jobs}.id = lost.id and reason is null
       returning ${TABLES.jobs}.id, class, queue, identity, reason
     ) select * from rescued union all select * from cancelled`,
    [...(identity === undefined ? [] : [identity]), ...(silentMs === undefined ? [] : [silentMs, silentMs])],
  );
  return rows;
}

interface Rescue {
  readonly identity?: string | undefined;
  readonly silentMs?: number | undefined;
}

export interface RescuedJob extends ReadyJob {
  readonly class: string;
  readonly identity: string;
  /** Not null: it was asked to cancel, for this reason, and has left. */
  readonly reason: string | null;
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

/** @returns true when a job is running anywhere, or held until another one ends. */
export async function isAnyUnderWay(knex: Knex): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: { readonly exists: boolean }[] }>(
    `select exists (select from ${TABLES.jobs} where state = 'running')
       or exists (select from ${TABLES.jobs} where state = 'held') as exists`,
  );
  return rows[0]?.exists === true;
}
