import type { Knex } from 'knex';

/** Sign-outs of operators. They are in Postgres so that all processes share them and none is lost. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create table ops_sign_outs (session text primary key, expires_at timestamptz not null)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_sign_outs');
}
