import type { Knex } from 'knex';

/** Queues that operators have paused: Redis is what processors ask, but it may lose its data. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_pauses (
      queue text primary key,
      paused_at timestamptz not null,
      paused_by text not null
    )`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table job_pauses');
}
