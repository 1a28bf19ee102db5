import type { Knex } from 'knex';

/** The last runs of each class, newest first, as `[id, ended at, ms, outcome]`: in the row of the class's total only. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_stats add column runs jsonb');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_stats drop column runs');
}
