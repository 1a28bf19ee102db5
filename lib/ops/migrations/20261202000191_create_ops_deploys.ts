import type { Knex } from 'knex';

/** The releases that have run on this database, and since when. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table ops_deploys (
      release text primary key,
      at timestamptz not null default clock_timestamp()
    )`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_deploys');
}
