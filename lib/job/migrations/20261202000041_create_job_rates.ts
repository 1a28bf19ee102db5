import type { Knex } from 'knex';

/**
 * `job_rates` has a row for each key whose jobs wait for a time: `arrival` is the theoretical arrival time of GCRA, up to which the
 * rate is used; `held_until` the end of a hold. The dispatcher looks at the key at `look_at`, and deletes rows that say nothing
 * any more.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_rates (
      key text primary key,
      arrival timestamptz not null default 'epoch',
      held_until timestamptz not null default 'epoch',
      look_at timestamptz not null
    ) with (fillfactor = 50)`);
  await knex.raw('create index job_rates_by_time on job_rates (look_at)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_rates');
}
