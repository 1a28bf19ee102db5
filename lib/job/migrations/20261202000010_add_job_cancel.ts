import type { Knex } from 'knex';

/** Adds the reason why a running job was asked to cancel. It is null in every other row, so plain jobs never write it. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_queue add column cancel_reason text');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_queue drop column cancel_reason');
}
