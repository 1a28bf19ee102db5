import type { Knex } from 'knex';

/**
 * A unique job's row holds its key until the job's end, or until the claim is over. Most jobs have none: the index
 * holds only those that do, and the columns take no room in the others.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox add column unique_key text, add column unique_until timestamptz');
  await knex.raw('create unique index job_outbox_unique on job_outbox (unique_key) where unique_key is not null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table job_outbox drop column unique_key, drop column unique_until');
}
