import type { Knex } from 'knex';

/** What the sign-in of operators needs to be the same in every process, and to hold whatever Redis loses. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create table ops_keys (name text primary key, key bytea not null)');
  await knex.raw('create table ops_sign_outs (session text primary key, expires_at timestamptz not null)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_sign_outs');
  await knex.raw('drop table ops_keys');
}
