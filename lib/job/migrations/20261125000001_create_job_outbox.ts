import type { Knex } from 'knex';

/**
 * Creates the outbox: jobs from their COMMIT to their outcome. Every row is updated once and soon deleted, so each
 * look-up has a partial index of its own, and autovacuum runs by the number of dead rows instead of by their share.
 * `run_at` uses the wall clock instead of the transaction's start, so jobs of one transaction keep their order.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_outbox (
      id uuid primary key,
      queue text not null,
      class text not null,
      payload text not null,
      run_at timestamptz not null default clock_timestamp(),
      created_at timestamptz not null default clock_timestamp(),
      dispatched_at timestamptz
    ) with (
      autovacuum_vacuum_scale_factor = 0,
      autovacuum_vacuum_threshold = 5000,
      autovacuum_analyze_scale_factor = 0,
      autovacuum_analyze_threshold = 50000
    )`);
  await knex.raw('create index job_outbox_due on job_outbox (run_at) where dispatched_at is null');
  await knex.raw(
    'create index job_outbox_dispatched on job_outbox (dispatched_at, id) where dispatched_at is not null',
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_outbox');
}
