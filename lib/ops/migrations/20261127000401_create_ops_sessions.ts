import type { Knex } from 'knex';

/**
 * Session keys, sign-outs and the outcomes of forms of operators. They are in Postgres so that all processes share them
 * and none is lost.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create table ops_keys (name text primary key, key bytea not null)');
  await knex.raw('create table ops_sign_outs (session text primary key, expires_at timestamptz not null)');
  await knex.raw(
    'create table ops_flashes (key text primary key, text text not null, expires_at timestamptz not null)',
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_flashes');
  await knex.raw('drop table ops_sign_outs');
  await knex.raw('drop table ops_keys');
}
