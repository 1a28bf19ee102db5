import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/** Rows that a burst has added or changed since Postgres last counted them; autovacuum counts by the same number, but once a minute. */
const BURST_ROWS = 50_000;

/**
 * Has Postgres count the jobs after a burst. Until then it takes those that are ready for a handful, and sorts them all for each
 * claim of the first ones.
 */
export async function analyzeAfterBurst(knex: Knex): Promise<void> {
  const { rows } = await knex.raw<{ rows: readonly object[] }>(
    `select from pg_stat_user_tables where relid = ?::regclass and n_mod_since_analyze > ?
       and coalesce(greatest(last_analyze, last_autoanalyze), '-infinity') < now() - interval '1 minute'`,
    [TABLES.jobs, BURST_ROWS],
  );
  // It would wait for a vacuum, which would then give up.
  if (rows.length > 0) await knex.raw(`analyze (skip_locked) ${TABLES.jobs}`);
}
