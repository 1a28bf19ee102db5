import type { Knex } from 'knex';

/**
 * Creates a table with a row for each recurring job. Ticks up to `settled_until` were enqueued or given up in the same
 * transaction that moved it, so any number of processors enqueue each tick once.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_cron (
      name text primary key,
      class text not null,
      spec text not null,
      time_zone text not null,
      catch_up text not null,
      settled_until timestamptz not null default clock_timestamp(),
      last_tick timestamptz,
      last_enqueued_id uuid,
      missed bigint not null default 0,
      caught_up bigint not null default 0,
      paused boolean not null default false,
      run_requested_at timestamptz,
      refreshed_at timestamptz not null default clock_timestamp(),
      created_at timestamptz not null default clock_timestamp()
    ) with (fillfactor = 50)`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_cron');
}
