import type { Knex } from 'knex';

/** Indexes the outbox by queue, so that a relay skips full queues however many rows wait for them. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create index job_outbox_due_by_queue on job_outbox (queue, run_at) where dispatched_at is null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index job_outbox_due_by_queue');
}
