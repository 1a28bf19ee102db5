import type { Knex } from 'knex';

/** What operators did, for 90 days. `about` has the plain values of the event, of which the page makes its sentence. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table ops_audit (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      who text not null,
      name text not null,
      about jsonb not null
    )`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_audit');
}
