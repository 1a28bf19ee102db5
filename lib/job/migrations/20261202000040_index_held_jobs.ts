import type { Knex } from 'knex';

/**
 * Indexes the jobs that a limit concerns by what is asked for. `job_queue_held` finds the keys with held jobs, and of each key
 * the next job in a queue, without a look at the others. `job_queue_counted` counts the jobs of a key that run or may run.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`create index job_queue_held on job_queue (limit_key, queue, run_at) where state = 'held'`);
  await knex.raw(
    `create index job_queue_counted on job_queue (limit_key, state)
     where limit_key is not null and (state = 'ready' or state = 'running')`,
  );
  await knex.raw('drop index job_queue_limited');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`create index job_queue_limited on job_queue (limit_key, state, run_at) where limit_key is not null`);
  await knex.raw('drop index job_queue_counted, job_queue_held');
}
