import type { Knex } from 'knex';

/**
 * Dead jobs, which are read and searched here, apart from `job_outbox`, whose settings are for rows that live for
 * seconds. A plain bee-queue producer has ids that repeat over queues, so `id` is a text, and the queue belongs to the key.
 * Each look at them counts the rows that match, by an index alone wherever it can: that needs a visibility map that is
 * kept up to date while rows are only inserted, too. Jobs of a rare tag are found by the index on tags, and those of one
 * that many have are counted in the index by time, which has the tags as well. `search` and `messages` stay in the row,
 * since to look for a word would else fetch each of them from another table.
 *
 * `job_handovers` remembers for a while which deaths have come here from Redis. What Redis still has of one, after a crash
 * or from an older copy of its data, is not taken for another death, though the job may have been retried or deleted since.
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
  // Both are of jobs only that were dead and have been retried: what their records had, and when they died.
  await knex.raw('alter table job_outbox add column options text, add column died_at timestamptz');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox drop column options, drop column died_at');
  await knex.raw('drop table job_handovers');
  await knex.raw('drop table job_dead');
}
