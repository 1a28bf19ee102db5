import type { Knex } from 'knex';

/**
 * Creates the table of the installation id that this database's jobs belong to: one row, written by the first job
 * processor. A copy of the database has the same id, which shows that it is a copy.
 */
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
