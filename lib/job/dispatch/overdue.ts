import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { notify } from '../hint/notifier';

/** A dispatcher that was notified has hinted at a job by then, or made it ready, ms, unless others wait before it. */
const OVERDUE_MS = 3000;

/**
 * Notifies the dispatchers when a job has been due for 3 s. Plain SQL may have inserted the job, or changed its time, without a
 * notification. Otherwise the job would wait for an idle dispatcher, which looks rarely.
 * @param knex with a timeout, since this waits while somebody has locked the table, as VACUUM FULL does.
 * @throws errors of Postgres.
 */
export async function lookForOverdue(knex: Knex): Promise<void> {
  const oldest = (state: string) => `(select min(run_at) from ${TABLES.jobs} where ${state})`;
  const { rows } = await knex.raw<{ rows: { readonly overdue: boolean | null }[] }>(
    `select least(${oldest(`state = 'ready'`)}, ${oldest(`state = 'scheduled' and attempts = 0`)},
       ${oldest(`state = 'scheduled' and attempts > 0`)}) < clock_timestamp() - ? * interval '1 millisecond' as overdue`,
    [OVERDUE_MS],
  );
  if (rows[0]?.overdue === true) await notify(knex, 'look');
}
