import type { Knex } from 'knex';
import { TABLES } from '../../core/config';

/**
 * A burst is this many rows added or changed since Postgres last counted. Autovacuum looks at that number, too, but once a
 * minute.
 */
const BURST_ROWS = 50_000;

/**
 * Has Postgres count the jobs after a burst. Until then it expects a handful of ready jobs, and sorts all of them for each
 * claim of the first ones.
 */
export async function analyzeAfterBurst(knex: Knex): Promise<void> {
  const { rows } = await knex.raw<{ rows: readonly object[] }>(
    `select from pg_stat_user_tables where relid = ?::regclass and n_mod_since_analyze > ?
       and coalesce(greatest(last_analyze, last_autoanalyze), '-infinity') < now() - interval '1 minute'`,
    [TABLES.jobs, BURST_ROWS],
  );
  // ANALYZE would wait for a vacuum, which would then give up.
  if (rows.length > 0) await knex.raw(`analyze (skip_locked) ${TABLES.jobs}`);
}
