import type { Knex } from 'knex';

/**
 * Adds the claims of unique jobs: a row holds its key until the job's end, or until the claim expires. Most jobs have
 * none, so the index is partial; nulls take no room in the rows.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox add column unique_key text, add column unique_until timestamptz');
  await knex.raw('create unique index job_outbox_unique on job_outbox (unique_key) where unique_key is not null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox drop column unique_key, drop column unique_until');
}
