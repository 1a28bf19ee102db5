import type { Knex } from 'knex';

/** A finished job keeps its batch, so that operators find the jobs of one. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_finished add column batch_id uuid');
  await knex.raw('create index job_finished_by_batch on job_finished (batch_id) where batch_id is not null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_finished drop column batch_id');
}
