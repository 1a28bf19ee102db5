import type { Knex } from 'knex';

/**
 * Ends the claim of a unique job, so that the next of its kind may be enqueued; a job without one is left alone. Its
 * row would end it too, but that is deleted a little after the outcome.
 */
export async function releaseUnique(knex: Knex, id: string): Promise<void> {
  await knex.raw(
    'update job_outbox set unique_key = null, unique_until = null where id = ?::uuid and unique_key is not null',
    [id],
  );
}
