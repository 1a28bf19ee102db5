import type { Knex } from 'knex';

/** What operators have been told of, so that several trees tell it once. A row is claimed before its alert is sent. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table ops_alerts (
      key text primary key,
      line text not null,
      level text not null,
      began_at timestamptz not null default clock_timestamp(),
      claimed_at timestamptz not null default clock_timestamp(),
      told_at timestamptz
    )`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_alerts');
}
