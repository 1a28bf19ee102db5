import type { Knex } from 'knex';

/** Recipients that the server has answered for good while others are still to be tried; they get no second mail. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`alter table mail_deliveries add column settled text[] not null default '{}'`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table mail_deliveries drop column settled');
}
