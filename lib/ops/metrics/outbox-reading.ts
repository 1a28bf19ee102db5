import type { Knex } from 'knex';
import { msUntilDue } from '../../job/outbox/claim';
import { overdueByQueue } from '../../job/outbox/overdue';

/** Counting ends here, lest it take long. */
const MOST_COUNTED = 100_000;

export interface OutboxReading {
  /** Of jobs whose outcome is still to come; at most 100,000 are counted. */
  readonly rows: number;
  /** By queue, jobs that are due and not copied to Redis yet; at most 10,000 each are counted. */
  readonly due: ReadonlyMap<string, number>;
  /** How long the oldest of these has waited, ms; 0 when there is none. */
  readonly ageMs: number;
}

export async function readOutbox(knex: Knex, queues: readonly string[]): Promise<OutboxReading> {
  const counted = await knex.raw<{ rows: { readonly size: number }[] }>(
    'select count(*)::int as size from (select 1 from job_outbox limit ?) as counted',
    [MOST_COUNTED],
  );
  const due = await overdueByQueue(knex, queues);
  const ageMs = Math.max(0, -((await msUntilDue(knex)) ?? 0));
  return { rows: counted.rows[0]?.size ?? 0, due, ageMs };
}
