import type { Knex } from 'knex';

/** Adds the steps of a job, by name. They are null in rows of jobs without steps, so plain jobs never write them. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_queue add column steps jsonb');
  await knex.raw('alter table job_dead add column steps jsonb');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_dead drop column steps');
  await knex.raw('alter table job_queue drop column steps');
}
