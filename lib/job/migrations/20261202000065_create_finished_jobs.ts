import type { Knex } from 'knex';

/**
 * Adds the finished jobs of classes with `keep`. Other jobs never write here. Rows are inserted once and deleted once, so it is
 * analysed and its visibility map is kept current by the number of inserts, as that of the dead jobs, for counts and pages by
 * index. `ending` is the text of an `Ending`, which may have NULs that Postgres could not take apart.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_finished (
      id uuid primary key,
      queue text collate "C" not null,
      class text collate "C" not null,
      payload json not null,
      history json,
      error text collate "C",
      attempts integer not null,
      tags text[] collate "C" not null,
      limit_key text,
      messages text,
      search text not null,
      progress json,
      ending text not null,
      keep_until timestamptz not null,
      keep_limit integer not null,
      finished_at timestamptz not null default clock_timestamp()
    ) with (
      autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_vacuum_threshold = 500,
      autovacuum_vacuum_insert_scale_factor = 0.005,
      autovacuum_vacuum_insert_threshold = 500,
      autovacuum_analyze_scale_factor = 0.05,
      autovacuum_analyze_threshold = 500
    )`);
  await knex.raw('alter table job_finished alter search set storage main');
  await knex.raw('create index job_finished_by_time on job_finished (finished_at desc, id) include (tags)');
  await knex.raw('create index job_finished_by_queue on job_finished (queue, finished_at desc, id)');
  await knex.raw('create index job_finished_by_class on job_finished (class, finished_at desc, id)');
  await knex.raw('create index job_finished_by_tag on job_finished using gin (tags)');
  await knex.raw('create index job_finished_by_end on job_finished (keep_until)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_finished');
}
