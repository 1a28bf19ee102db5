import type { Knex } from 'knex';

/**
 * Lines of the log about requests and jobs, for a day. Unlogged, since they are many and small: a crash of Postgres empties it,
 * and what happened is in the log itself.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create unlogged table ops_log (
      id bigint generated always as identity primary key,
      at timestamptz not null,
      request_id text,
      job_id text,
      level text not null,
      status smallint,
      line text not null
    )`);
  await knex.raw('create index ops_log_request on ops_log (request_id) where request_id is not null');
  await knex.raw('create index ops_log_job on ops_log (job_id) where job_id is not null');
  await knex.raw('create index ops_log_failed on ops_log (id) where status >= 500');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table ops_log');
}
