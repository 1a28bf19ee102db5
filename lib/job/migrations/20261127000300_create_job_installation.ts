import type { Knex } from 'knex';

/** The installation that this database's jobs belong to: one row, once a job processor has seen it. A copy has it, too. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_installation (
      singleton boolean primary key default true check (singleton),
      id uuid not null
    )`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_installation');
}
