import type { Knex } from 'knex';

/** Recipients whom the server has answered for good, while others are still to be tried: they are not sent to again. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`alter table mail_deliveries add column settled text[] not null default '{}'`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table mail_deliveries drop column settled');
}
