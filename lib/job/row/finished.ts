import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { type Deletion, SEARCH } from './dead';

/** What is kept of a job that is done, besides what its row has. */
export interface FinishedJob {
  readonly id: string;
  /** The text of an `Ending`. */
  readonly ending: string;
  readonly keepMs: number;
  /** How many of its class are kept: the newest ones. */
  readonly keepLimit: number;
}

/** Moves jobs that are done to `job_finished`, in the statement that ends their runs. @returns their ids. */
export async function insertFinished(knex: Knex, jobs: readonly FinishedJob[], deletion: Deletion): Promise<string[]> {
  // An id that is there already, as plain SQL may give it twice, must not keep the job from ending.
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(
    `with gone as (${deletion.sql}), kept as (
       insert into ${TABLES.finished} (id, queue, class, payload, history, error, attempts, tags, limit_key, batch_id, priority, messages, search, progress,
         ending, keep_until, keep_limit)
       select id, queue, class, payload, history, error, attempts, tags, limit_key, batch_id, priority, messages, ${SEARCH}, progress,
         given.ending, clock_timestamp() + given.keep_ms * interval '1 millisecond', given.keep_limit
       from gone join unnest(?::uuid[], ?::text[], ?::float8[], ?::int[]) as given (id, ending, keep_ms, keep_limit) using (id)
       on conflict (id) do nothing
     ) select id from gone`,
    [
      ...deletion.values,
      jobs.map(({ id }) => id),
      jobs.map(({ ending }) => ending),
      jobs.map(({ keepMs }) => keepMs),
      jobs.map(({ keepLimit }) => keepLimit),
    ] as unknown as Knex.RawBinding[],
  );
  return rows.map(({ id }) => id);
}

/** Jobs in one step of `pruneFinished`, and the number of steps in one call. */
const STEP = 1000;
const MAX_STEPS = 20;

/**
 * Deletes finished jobs whose time is over, and the oldest of classes that have more than they keep, by what their newest one
 * says. @param mayGoOn asked before each step. @returns true: it has ended before all were deleted.
 */
export async function pruneFinished(knex: Knex, mayGoOn: () => boolean = () => true): Promise<boolean> {
  const first = (condition: string) =>
    `(select class, keep_limit from ${TABLES.finished} where ${condition} order by class, finished_at desc, id limit 1)`;
  const { rows } = await knex.raw<{ rows: { readonly class: string; readonly since: string }[] }>(
    `with recursive classes as (
       ${first('true')} union all select next.* from classes, lateral ${first('class > classes.class')} as next
     )
     select class, beyond.since::text from classes cross join lateral (
       select finished_at as since from ${TABLES.finished} as job where job.class = classes.class
       order by finished_at desc, id offset classes.keep_limit limit 1
     ) as beyond`,
  );
  let steps = MAX_STEPS;
  const empty = async (condition: string, values: readonly string[]) => {
    for (let deleted = STEP; deleted === STEP && steps > 0 && mayGoOn(); steps--) {
      const { rowCount } = await knex.raw<{ rowCount: number }>(
        `delete from ${TABLES.finished} where id = any(array(select id from ${TABLES.finished} where ${condition} limit ${STEP}))`,
        values,
      );
      deleted = rowCount;
    }
  };
  await empty('keep_until <= now()', []);
  for (const { class: name, since } of rows) await empty('class = ? and finished_at <= ?::timestamptz', [name, since]);
  return steps === 0;
}

/** Where a job is that somebody waits for, and how it has ended. */
export interface EndedJob {
  /** open: it may still be done. */
  readonly state: 'open' | 'dead' | 'done';
  readonly class: string;
  /** The text of an `Ending`, if it is done. */
  readonly ending: string | null;
}

/** @returns what became of these jobs; one that is in no place is not among them. */
export async function readEndings(knex: Knex, ids: readonly string[]): Promise<ReadonlyMap<string, EndedJob>> {
  const { rows } = await knex.raw<{ rows: (EndedJob & { readonly id: string })[] }>(
    `select id, 'done' as state, class, ending from ${TABLES.finished} where id = any(?::uuid[])
     union all select id, 'dead', class, null from ${TABLES.dead} where id = any(?::uuid[])
     union all select id, 'open', class, null from ${TABLES.jobs} where id = any(?::uuid[])`,
    [ids, ids, ids] as unknown as Knex.RawBinding[],
  );
  return new Map(rows.map((row) => [row.id, row]));
}
