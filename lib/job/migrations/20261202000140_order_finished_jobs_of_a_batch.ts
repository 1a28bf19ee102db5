import type { Knex } from 'knex';

/** The finished jobs of a batch come in the order of their page, so that Postgres reads no others for it. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('drop index job_finished_by_batch');
  await knex.raw(
    'create index job_finished_by_batch on job_finished (batch_id, finished_at desc, id) where batch_id is not null',
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index job_finished_by_batch');
  await knex.raw('create index job_finished_by_batch on job_finished (batch_id) where batch_id is not null');
}
