import type { Knex } from 'knex';

/** For mails to an address, and for those that are not sent, which are few. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index mail_deliveries_recipients on mail_deliveries using gin (recipients)');
  await knex.raw(
    `create index mail_deliveries_unsent on mail_deliveries (created_at desc, key desc) where state <> 'sent'`,
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index mail_deliveries_recipients, mail_deliveries_unsent');
}
