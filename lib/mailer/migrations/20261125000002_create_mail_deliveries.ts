import type { Knex } from 'knex';

/**
 * `mail_deliveries` has a row for each mail: who sends it at the moment, or what became of it. `settled` are recipients whom
 * the server has answered for good while others are still to be tried. They get no second mail.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table mail_deliveries (
      key text primary key,
      mailer text not null,
      action text not null,
      recipients text[] not null,
      settled text[] not null default '{}',
      subject text not null,
      message_id text not null,
      state text not null check (state in ('claimed', 'sent', 'failed')),
      attempts integer not null default 1,
      response text,
      error text,
      -- The sender: a token of that one attempt, and the Postgres session of its process.
      claim uuid not null,
      claimed_at timestamptz not null,
      claimed_by_pid integer not null,
      claimed_by_since timestamptz,
      sent_at timestamptz,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )
  `);
  await knex.raw(`create index mail_deliveries_sent_at on mail_deliveries (sent_at) where state = 'sent'`);
  await knex.raw('create index mail_deliveries_newest on mail_deliveries (created_at desc, key desc)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('mail_deliveries');
}
