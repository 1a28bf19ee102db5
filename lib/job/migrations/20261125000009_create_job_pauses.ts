import type { Knex } from 'knex';

/** Keeps the queues that operators have paused. Processors read pauses from Redis, but Redis may lose its data. */
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
