import type { Knex } from 'knex';

/**
 * `job_batches` has a row for each batch. Its jobs carry its id. What is left of a batch is counted from their rows, so the end of
 * a job changes nothing here. `callbacks` are the jobs to enqueue, as rows; `total` counts the jobs that were added.
 *
 * A dead job that is deleted, by an operator or since it is old, leaves its batch without success for good: a trigger notes that,
 * whatever deletes the row, unless the job has gone back to its queue.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_batches (
      id uuid primary key,
      parent_id uuid,
      description text not null,
      tags text[] collate "C" not null default '{}',
      callbacks json not null,
      total bigint not null default 0,
      created_at timestamptz not null default clock_timestamp(),
      filled_at timestamptz not null default clock_timestamp(),
      sealed_at timestamptz,
      reported_at timestamptz,
      died_at timestamptz,
      given_up_at timestamptz,
      completed_at timestamptz,
      outcome text check (outcome in ('succeeded', 'cancelled')),
      ended_at timestamptz
    ) with (fillfactor = 50)`);
  await knex.raw('create index job_batches_open on job_batches (created_at) where ended_at is null');
  await knex.raw('create index job_batches_by_parent on job_batches (parent_id) where parent_id is not null');
  await knex.raw('create index job_batches_by_time on job_batches (created_at desc)');
  for (const table of ['job_queue', 'job_dead']) {
    await knex.raw(`alter table ${table} add column batch_id uuid`);
    await knex.raw(`create index ${table}_by_batch on ${table} (batch_id) where batch_id is not null`);
  }
  await knex.raw(`
    create function job_dead_given_up() returns trigger language plpgsql as $$
    declare is_back boolean;
    begin
      execute format('select exists (select from %I.job_queue where id = $1)', tg_table_schema) into is_back using old.id;
      if not is_back then
        execute format('update %I.job_batches set given_up_at = coalesce(given_up_at, now()) where id = $1', tg_table_schema)
          using old.batch_id;
      end if;
      return null;
    end $$`);
  await knex.raw(`
    create trigger job_dead_given_up after delete on job_dead
    for each row when (old.batch_id is not null) execute function job_dead_given_up()`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop trigger job_dead_given_up on job_dead');
  await knex.raw('drop function job_dead_given_up');
  for (const table of ['job_dead', 'job_queue']) await knex.raw(`alter table ${table} drop column batch_id`);
  await knex.raw('drop table job_batches');
}
