import type { Knex } from 'knex';

/** The operator's list of mails shows the newest first. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index mail_deliveries_newest on mail_deliveries (created_at desc, key desc)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index mail_deliveries_newest');
}
