import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { isUuid } from '../../support/uuid';
import { type Ending, readEnding } from '../record/ending';
import { describeRow, type EntryRow, type JobEntry, type SetName } from './entry';
import { checkRef, type JobRef } from './query';
import { EVERY_JOB, entryColumns, these } from './set-reader';

/** The place of a job. `gone`: it has succeeded and was not kept, was discarded, cancelled or deleted, or never existed. */
export interface FoundPlace {
  /** Where it is. */
  readonly place: SetName | 'gone';
  /** The job; undefined if it is gone. */
  readonly entry: JobEntry | undefined;
  /** Number of jobs before it in its queue, up to 10,000; undefined unless it waits. */
  readonly ahead: number | undefined;
  /** What is kept of its end; undefined unless it is finished. */
  readonly ending: Partial<Ending> | undefined;
  /** The steps that its runs have done, in order; of a finished job none are kept. */
  readonly steps: readonly DoneStep[];
  /** Why it is held; undefined unless a limit holds it. */
  readonly held: HeldBy | undefined;
}

/** A step of a job that is done. Its result is not shown. */
export interface DoneStep {
  /** Its name. */
  readonly name: string;
  /** ms since 1970. */
  readonly at: number;
}

/** What a held job waits for. Counts end at 10,000. */
export interface HeldBy {
  /** The key that its class's limit counts by; undefined: the limit is for the class. */
  readonly key: string | undefined;
  /** Jobs that count towards the same limit and run. */
  readonly running: number;
  /** Held jobs of the same limit that are before it. */
  readonly ahead: number;
  /** The time until which the rate of its key is used; null: it waits for no rate. */
  readonly usedUntil: Date | null;
}

const GONE: FoundPlace = {
  place: 'gone',
  entry: undefined,
  ahead: undefined,
  ending: undefined,
  steps: [],
  held: undefined,
};
const MAX_COUNTED = 10_000;
/** The place of a row that is not dead. */
const PLACE = `case state when 'ready' then 'waiting' when 'running' then 'active' when 'held' then 'blocked'
  else case when attempts > 0 then 'retry' else 'scheduled' end end as place`;

/** SQL: the steps that are done, in order. */
const STEPS = `array(select json_build_object('name', key, 'at', step -> 'at') from jsonb_each(steps) as stored (key, step)
  where step -> 'at' is not null order by step -> 'at', key) as steps`;

/** The place of a job, by which its page is found. */
export interface LocatedJob {
  readonly place: SetName;
  readonly queue: string;
  /** The time of its next run, death or end. */
  readonly at: Date;
}

/** @returns the place of each of these jobs that has one. */
export async function locateJobs(knex: Knex, ids: readonly string[]): Promise<ReadonlyMap<string, LocatedJob>> {
  const known = ids.filter((id) => isUuid(id));
  if (known.length === 0) return new Map();
  const { rows } = await knex.raw<{ rows: (LocatedJob & { readonly id: string })[] }>(
    `select id::text, ${PLACE}, queue, run_at as at from ${TABLES.jobs} where id = any(?::uuid[])
     union all select id::text, 'dead', queue, died_at from ${TABLES.dead} where id = any(?::uuid[])
     union all select id::text, 'finished', queue, finished_at from ${TABLES.finished} where id = any(?::uuid[])`,
    [known, known, known] as unknown as Knex.RawBinding[],
  );
  return new Map(rows.map(({ id, ...job }) => [id, job]));
}

/** Finds a job in any place, by one statement, since it may move between two. @throws InvalidRequestError for an invalid id. */
export async function findJob(knex: Knex, ref: JobRef): Promise<FoundPlace> {
  const { sql, values } = these({ where: EVERY_JOB }, [checkRef(ref)]);
  const isRunning = (column: string, otherwise: string) =>
    `case state when 'running' then ${column} else ${otherwise} end`;
  const living = entryColumns(isRunning('claimed_at', 'run_at'), isRunning('claimed_by', 'null'));
  const { rows } = await knex.raw<{
    rows: (EntryRow & { readonly place: SetName; readonly steps: readonly DoneStep[] })[];
  }>(
    `select ${PLACE}, payload::text, ${STEPS}, ${living}, null::text as ending from ${TABLES.jobs} where ${sql}
     union all select 'dead', payload::text, ${STEPS}, ${entryColumns('died_at', 'null')}, null from ${TABLES.dead} where ${sql}
     union all select 'finished', payload::text, '{}', ${entryColumns('finished_at', 'null')}, ending from ${TABLES.finished} where ${sql}`,
    [...values, ...values, ...values],
  );
  const [row] = rows;
  if (!row) return GONE;
  const { place } = row;
  return {
    place,
    entry: describeRow(place, row),
    ahead: place === 'waiting' ? await countAhead(knex, row.id) : undefined,
    ending: typeof row.ending === 'string' ? readEnding(row.ending) : undefined,
    steps: row.steps,
    held: place === 'blocked' ? await findHold(knex, row) : undefined,
  };
}

async function countAhead(knex: Knex, id: string): Promise<number> {
  const { rows } = await knex.raw<{ rows: { readonly count: number }[] }>(
    `with this as (select queue, priority, run_at from ${TABLES.jobs} where id = ?::uuid)
     select least(count(*), ${MAX_COUNTED})::int as count from (
       (select 1 from ${TABLES.jobs} as job, this
         where job.state = 'ready' and job.queue = this.queue and job.run_at < this.run_at and job.priority <= this.priority limit ${MAX_COUNTED})
       union all
       (select 1 from ${TABLES.jobs} as job, this
         where job.state = 'ready' and job.priority <> 0 and job.queue = this.queue and job.priority < this.priority
           and job.run_at >= this.run_at limit ${MAX_COUNTED})
     ) as before`,
    [id],
  );
  return rows[0]?.count ?? 0;
}

async function findHold(knex: Knex, { id, class: name }: EntryRow): Promise<HeldBy | undefined> {
  const counted = (where: string) =>
    `(select count(*)::int from (select 1 from ${TABLES.jobs} as job where job.limit_key = this.limit_key and ${where} limit ${MAX_COUNTED}) as counted)`;
  const { rows } = await knex.raw<{ rows: (Omit<HeldBy, 'key'> & { readonly key: string })[] }>(
    `select limit_key as key, ${counted(`job.state = 'running'`)} as running,
       ${counted(`job.state = 'held' and job.run_at < this.run_at`)} as ahead,
       (select greatest(arrival, held_until) from ${TABLES.rates} as rate
         where rate.key = this.limit_key and greatest(arrival, held_until) > clock_timestamp()) as "usedUntil"
     from ${TABLES.jobs} as this where id = ?::uuid and limit_key is not null`,
    [id],
  );
  const [hold] = rows;
  return hold && { ...hold, key: hold.key === name ? undefined : hold.key.slice(name.length + 1) };
}

/** Finds those of these jobs that may run again: dead ones, too, since an operator may retry them. @throws errors of Postgres. */
export async function livingJobs(knex: Knex, ids: readonly string[]): Promise<ReadonlySet<string>> {
  return idsIn(await locateJobs(knex, ids), ({ place }) => place !== 'finished');
}

/** Finds those of these jobs that will run by themselves: the living ones without the dead. @throws errors of Postgres. */
export async function comingJobs(knex: Knex, ids: readonly string[]): Promise<ReadonlySet<string>> {
  return idsIn(await locateJobs(knex, ids), ({ place }) => place !== 'finished' && place !== 'dead');
}

function idsIn(jobs: ReadonlyMap<string, LocatedJob>, filter: (job: LocatedJob) => boolean): ReadonlySet<string> {
  return new Set([...jobs].flatMap(([id, job]) => (filter(job) ? [id] : [])));
}
