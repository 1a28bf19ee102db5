import type { Knex } from 'knex';

/** So that a relay passes over queues that are full, however many rows wait for them. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index job_outbox_due_by_queue on job_outbox (queue, run_at) where dispatched_at is null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index job_outbox_due_by_queue');
}
