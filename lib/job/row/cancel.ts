import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { CancelOutcome } from '../definition/job-class';

/**
 * The reason of a running job whose key a later enqueue has taken (`insertOrReplace`). Its signal is not aborted; it only leaves
 * instead of running again.
 */
export const REPLACED = 'replaced by a later enqueue';

/** The jobs to cancel: one, or those that match. */
export type CancelChoice = { readonly id: string; readonly queue?: string | undefined } | CancelFilter;

/** All conditions that are given must be met. */
export interface CancelFilter {
  readonly class?: string | undefined;
  readonly tag?: string | undefined;
  readonly queue?: string | undefined;
  readonly batch?: string | undefined;
}

/** A job that was cancelled while it waited, or was asked to cancel while it ran. */
export interface CancelledRow {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  readonly became: Exclude<CancelOutcome, 'gone'>;
}

/** How many jobs of a choice are cancelled by one statement. */
export interface CancelBounds {
  readonly limit: number;
  /** A time of Postgres: jobs that were enqueued later, or asked before, are left alone. Default: none is. */
  readonly enqueuedUntil?: string;
  /** true: rows that others have locked are passed over, so that no deadlock is possible however many are chosen. */
  readonly skipsLocked?: boolean;
}

/**
 * Cancels jobs in one statement. A waiting one (ready, scheduled, held) leaves; a running one is asked, which its process
 * hears by NOTIFY with the COMMIT. The rows are locked first: so a claim or an end comes before, or after. Of two requests
 * the first reason is kept.
 */
export async function cancelRows(
  knex: Knex,
  choice: CancelChoice,
  reason: string,
  { limit, enqueuedUntil, skipsLocked = false }: CancelBounds,
): Promise<CancelledRow[]> {
  const conditions: string[] = [];
  const values: Knex.RawBinding[] = [];
  const add = (condition: string, value: string | undefined) => {
    if (value === undefined) return;
    conditions.push(condition);
    values.push(value);
  };
  if ('id' in choice) add('id = ?::uuid', choice.id);
  else {
    add('class = ?', choice.class);
    add(`tags @> array[?]::text[] and tags <> '{}'`, choice.tag);
    add('batch_id = ?::uuid', choice.batch);
  }
  add('queue = ?', choice.queue);
  add(`created_at <= ?::timestamptz and coalesce(cancel_reason, '${REPLACED}') = '${REPLACED}'`, enqueuedUntil);
  const { rows } = await knex.raw<{ rows: CancelledRow[] }>(
    `with chosen as materialized (
       select id, state from ${TABLES.jobs} where ${conditions.join(' and ')} limit ? for update ${skipsLocked ? 'skip locked' : ''}
     ), gone as (
       delete from ${TABLES.jobs} using chosen where ${TABLES.jobs}.id = chosen.id and chosen.state <> 'running'
       returning ${TABLES.jobs}.id, class, queue, limit_key, batch_id
     ), asked as (
       update ${TABLES.jobs} set cancel_reason = coalesce(nullif(cancel_reason, '${REPLACED}'), ?) from chosen
       where ${TABLES.jobs}.id = chosen.id and chosen.state = 'running' returning ${TABLES.jobs}.id, class, queue
     )
     select id, class, queue, 'cancelled' as became, case when limit_key is not null or batch_id is not null then pg_notify(?, 'look')::text end as told from gone
     union all select id, class, queue, 'requested', pg_notify(?, 'cancel')::text from asked`,
    [...values, limit, reason, TABLES.channel, TABLES.channel],
  );
  return rows.map(({ id, class: name, queue, became }) => ({ id, class: name, queue, became }));
}

/** A job whose run has ended, or was lost, after it was asked to cancel. */
export interface CancelledRun {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  readonly reason: string;
}

/** Deletes those of these running jobs that were asked to cancel. @param where its columns are those of `job_queue`. */
export async function deleteAsked(knex: Knex, where: string, values: readonly unknown[]): Promise<CancelledRun[]> {
  const { rows } = await knex.raw<{ rows: CancelledRun[] }>(
    `delete from ${TABLES.jobs} where cancel_reason is not null and ${where} returning id, class, queue, cancel_reason as reason`,
    values as Knex.RawBinding[],
  );
  return rows;
}

/** @returns the reasons of the jobs of this processor that were asked to cancel, by id. */
export async function readAsked(knex: Knex, identity: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await knex.raw<{ rows: { readonly id: string; readonly reason: string }[] }>(
    `select id, cancel_reason as reason from ${TABLES.jobs}
     where state = 'running' and claimed_by = ? and cancel_reason is not null and cancel_reason <> ?`,
    [identity, REPLACED],
  );
  return new Map(rows.map(({ id, reason }) => [id, reason]));
}
