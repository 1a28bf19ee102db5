import type { Knex } from 'knex';

/**
 * Creates the table of dead jobs, apart from `job_outbox`, whose settings suit rows that live for seconds. Ids of plain
 * bee-queue producers repeat across queues, so `id` is text and the queue is part of the key. Each page counts the
 * matching rows, if possible by an index-only scan, which needs a current visibility map; hence autovacuum also runs
 * after inserts. Jobs with a rare tag are found by the index on tags; those with a frequent one are counted in the
 * index by time, which includes the tags. `search` and `messages` are stored in the row itself, since a search for a
 * word would otherwise fetch each of them from the TOAST table.
 *
 * `job_handovers` records for a while the deaths that were handed over from Redis. When Redis still has one of them,
 * after a crash or from an older copy of its data, it does not count as another death, although the job may have been
 * retried or deleted since.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_dead (
      id text collate "C" not null,
      queue text collate "C" not null,
      class text collate "C" not null,
      payload text,
      options text,
      error text collate "C" not null,
      attempts integer not null,
      tags text[] collate "C" not null,
      messages text not null,
      search text not null,
      died_at timestamptz not null,
      primary key (id, queue)
    ) with (
      autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_vacuum_threshold = 500,
      autovacuum_vacuum_insert_scale_factor = 0.02,
      autovacuum_vacuum_insert_threshold = 500,
      autovacuum_analyze_scale_factor = 0.05,
      autovacuum_analyze_threshold = 500
    )`);
  await knex.raw('alter table job_dead alter messages set storage main, alter search set storage main');
  await knex.raw('create index job_dead_by_time on job_dead (died_at desc, queue, id) include (tags)');
  await knex.raw('create index job_dead_by_queue on job_dead (queue, died_at desc, id)');
  await knex.raw('create index job_dead_by_class on job_dead (class, died_at desc, queue, id)');
  await knex.raw('create index job_dead_by_tag on job_dead using gin (tags)');
  await knex.raw(`
    create table job_handovers (
      id text collate "C" not null,
      queue text collate "C" not null,
      died_at timestamptz not null,
      handed_over_at timestamptz not null default clock_timestamp(),
      primary key (id, queue, died_at)
    )`);
  await knex.raw('create index job_handovers_by_time on job_handovers (handed_over_at)');
  // Only jobs that were dead and have been retried have these: the other part of their record, and their time of death.
  await knex.raw('alter table job_outbox add column options text, add column died_at timestamptz');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox drop column options, drop column died_at');
  await knex.raw('drop table job_handovers');
  await knex.raw('drop table job_dead');
}
