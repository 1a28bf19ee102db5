import type { Knex } from 'knex';

/**
 * Adds the priority of a job. Jobs that have one, or count towards a limit, are found by two indexes in which plain jobs are not.
 * `job_queue_ready_special` has those that are ready. `job_queue_held` has those of limits, in the order of their admission, and
 * those that are held until nothing else of their queue waits.
 */
export async function up(knex: Knex): Promise<void> {
  for (const table of ['queue', 'dead', 'finished'])
    await knex.raw(`alter table job_${table} add column priority smallint not null default 0`);
  await knex.raw(
    `create index job_queue_ready_special on job_queue (queue, priority, run_at)
     where state = 'ready' and (limit_key is not null or priority <> 0)`,
  );
  await knex.raw('drop index job_queue_ready_limited, job_queue_held');
  await knex.raw(`create index job_queue_held on job_queue (limit_key, queue, priority, run_at) where state = 'held'`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(`update job_queue set state = 'ready' where state = 'held' and limit_key is null`);
  await knex.raw('drop index job_queue_held, job_queue_ready_special');
  await knex.raw(`create index job_queue_held on job_queue (limit_key, queue, run_at) where state = 'held'`);
  await knex.raw(
    `create index job_queue_ready_limited on job_queue (queue, run_at) where state = 'ready' and limit_key is not null`,
  );
  for (const table of ['finished', 'dead', 'queue']) await knex.raw(`alter table job_${table} drop column priority`);
}
