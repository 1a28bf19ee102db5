import type { Knex } from 'knex';

/** `args` are the arguments of a recurring job that was declared at run time, as JSON; null for one that its class declares. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table job_cron add column args json');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('delete from job_cron where args is not null');
  await knex.raw('alter table job_cron drop column args');
}
