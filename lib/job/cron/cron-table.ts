import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { UserError } from '../../core/errors';
import type { JsonValue } from '../../core/execution-context';
import { didYouMean } from '../../support/did-you-mean';
import { effectiveName } from '../definition/options';
import type { Notice } from '../hint/notifier';
import type { Auditor } from '../sets/query';
import type { CatchUp, CatchUpPolicy } from './cron-service';
import { type CronEntry, Schedule } from './schedule';

/**
 * SQL, at the beginning of a transaction that locks a row. If the process falls silent, as when it is frozen, Postgres ends the
 * transaction, so that others get the lock.
 */
const HELD_BRIEFLY = `set_config('idle_in_transaction_session_timeout', '10000', true)`;

/** A row that no processor has refreshed for this long may be claimed by one that declares it differently. */
const CLAIM_LASTS = '3 minutes';
/** A row that no processor has refreshed for this long belongs to a removed class, or to an app that does not run. */
const KNOWN_FOR = '1 day';
/** Rows that no processor has refreshed for this long are deleted, since their classes are gone. */
const KEPT_FOR = '7 days';

/** The arguments of a recurring job that was declared at run time: plain, or encrypted for `argumentOwner`. */
export type CronArguments = readonly JsonValue[] | { readonly encrypted: string };

/** Whom encrypted arguments belong to. No job has such an id, so that they cannot be moved into one. */
export function argumentOwner({ name, class: className }: Pick<CronRow, 'name' | 'class'>) {
  return { id: `cron ${name}`, class: className };
}

/** A row, with the database's time at which it was read. */
export interface CronRow {
  readonly name: string;
  readonly class: string;
  readonly spec: string;
  readonly time_zone: string;
  readonly settled_until: Date;
  readonly paused: boolean;
  readonly run_requested_at: Date | null;
  /** As in a job's payload; null: its class declares it. */
  readonly args: CronArguments | null;
  readonly catch_up: CatchUpPolicy;
  readonly now: Date;
}

const COLUMNS = `name, class, spec, time_zone, settled_until, paused, run_requested_at, args, catch_up, clock_timestamp() as now`;

/** A recurring job to be declared at run time. */
export interface NewCron extends Pick<CronRow, 'name' | 'class' | 'spec' | 'time_zone' | 'catch_up'> {
  readonly args: CronArguments;
}

/** All columns of a row. */
export interface CronState extends CronRow {
  readonly last_tick: Date | null;
  readonly last_enqueued_id: string | null;
  /** Counters are bigint, which pg returns as text. */
  readonly missed: string;
  readonly caught_up: string;
  /** true if some processor has refreshed it within the last day. */
  readonly known: boolean;
}

/**
 * true if a row matches the declaration of this process's class; otherwise the processors of another deploy handle it.
 */
export function isSame(row: CronRow, entry: CronEntry): boolean {
  return row.class === effectiveName(entry.jobClass) && row.spec === entry.spec && row.time_zone === entry.timeZone;
}

/**
 * Writes the entries of this process into the table. A new entry, or one with a changed schedule, starts from now. So does a
 * row that is settled a day or more ahead, which only a wrong clock can have done.
 * @param claim true: rows that differ become ours, since this process is the newest. false: only stale rows do.
 */
export async function refresh(knex: Knex, entries: readonly CronEntry[], claim: boolean): Promise<void> {
  const rows = [...entries].sort((a, b) => (a.name < b.name ? -1 : 1));
  const columns = [
    rows.map((entry) => entry.name),
    rows.map((entry) => effectiveName(entry.jobClass)),
    rows.map((entry) => entry.spec),
    rows.map((entry) => entry.timeZone),
    rows.map((entry) => entry.policy),
  ];
  await knex.raw(
    `insert into ${TABLES.cron} as old (name, class, spec, time_zone, catch_up)
     select * from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[])
     on conflict (name) do update set
       settled_until = case
         when (old.spec, old.time_zone) is distinct from (excluded.spec, excluded.time_zone)
           or old.settled_until > clock_timestamp() + interval '1 day' then clock_timestamp()
         else old.settled_until end,
       class = excluded.class, spec = excluded.spec, time_zone = excluded.time_zone, catch_up = excluded.catch_up,
       args = null, refreshed_at = clock_timestamp()
     where ? or old.refreshed_at < clock_timestamp() - ?::interval
       or (old.class, old.spec, old.time_zone) = (excluded.class, excluded.spec, excluded.time_zone)`,
    [...columns, claim, CLAIM_LASTS],
  );
  await knex.raw(`delete from ${TABLES.cron} where refreshed_at < clock_timestamp() - ?::interval`, [KEPT_FOR]);
}

/** The rows of these names, and all that were declared at run time. */
export async function readRows(knex: Knex, names: readonly string[]): Promise<readonly CronRow[]> {
  const { rows } = await knex.raw<{ rows: CronRow[] }>(
    `select ${COLUMNS} from ${TABLES.cron} where name = any(?::text[]) or args is not null`,
    [[...names]],
  );
  return rows;
}

/**
 * Declares a recurring job at run time, or changes one. A new one, or one with a changed schedule, starts from now. The processors
 * follow at once, or with the commit. No processor needs to refresh such a row, so it never looks forgotten.
 * @returns false if a class declares one of this name, which is left as it is.
 */
export async function upsertCron(knex: Knex, { name, class: className, spec, time_zone, catch_up, args }: NewCron) {
  const { rows } = await knex.raw<{ rows: unknown[] }>(
    `with changed as (
       insert into ${TABLES.cron} as old (name, class, spec, time_zone, catch_up, args, refreshed_at)
       values (?, ?, ?, ?, ?, ?, 'infinity')
       on conflict (name) do update set
         settled_until = case when (old.spec, old.time_zone) is distinct from (excluded.spec, excluded.time_zone)
           then clock_timestamp() else old.settled_until end,
         class = excluded.class, spec = excluded.spec, time_zone = excluded.time_zone, catch_up = excluded.catch_up,
         args = excluded.args
       where old.args is not null
       returning name
     ) select pg_notify(?, ?) from changed`,
    [name, className, spec, time_zone, catch_up, JSON.stringify(args), TABLES.channel, 'cron' satisfies Notice],
  );
  return rows.length > 0;
}

/** @returns false if none of this name was declared at run time. */
export async function removeCron(knex: Knex, name: string): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: unknown[] }>(
    `delete from ${TABLES.cron} where name = ? and args is not null returning name`,
    [name],
  );
  return rows.length > 0;
}

/** Every row, by name. */
export async function readStates(knex: Knex): Promise<readonly CronState[]> {
  const { rows } = await knex.raw<{ rows: CronState[] }>(
    `select ${COLUMNS}, last_tick, last_enqueued_id, missed, caught_up,
       refreshed_at > clock_timestamp() - ?::interval as known
     from ${TABLES.cron} order by name`,
    [KNOWN_FOR],
  );
  return rows;
}

/** Locks the row until the transaction ends. @returns undefined when another processor holds it, or it is gone. */
export async function lockRow(trx: Knex.Transaction, name: string): Promise<CronRow | undefined> {
  const { rows } = await trx.raw<{ rows: CronRow[] }>(
    `select ${COLUMNS}, (select ${HELD_BRIEFLY}) as held from ${TABLES.cron} where name = ? for update skip locked`,
    [name],
  );
  return rows[0];
}

/** Records what was enqueued, in the same transaction. */
export async function settle(
  trx: Knex.Transaction,
  name: string,
  { ticks, settledUntil, missed, caughtUp }: CatchUp,
  lastId: string | undefined,
): Promise<void> {
  await trx.raw(
    `update ${TABLES.cron} set
       settled_until = coalesce(?::timestamptz, settled_until), last_tick = coalesce(?::timestamptz, last_tick),
       last_enqueued_id = coalesce(?::uuid, last_enqueued_id),
       missed = missed + ?, caught_up = caught_up + ?, run_requested_at = null
     where name = ?`,
    [settledUntil?.toISOString() ?? null, ticks.at(-1)?.toISOString() ?? null, lastId ?? null, missed, caughtUp, name],
  );
}

/** What operators do with a recurring job. */
export type CronAction = keyof typeof CHANGES;

const CHANGES = {
  /** Enqueues the job now, besides its schedule, even while it is paused; two calls before a processor reacts enqueue one job. */
  trigger: () => `update ${TABLES.cron} set run_requested_at = clock_timestamp()`,
  /** Skips its ticks from now on. */
  pause: () => `update ${TABLES.cron} set paused = true`,
  /** Ends a pause, whose ticks are not caught up; resuming an entry that is not paused must skip none. */
  resume: () =>
    `update ${TABLES.cron} set settled_until = case when paused then clock_timestamp() else settled_until end, paused = false`,
  /** Deletes it. A processor that still declares it adds it again within a minute, as new. */
  forget: () => `delete from ${TABLES.cron}`,
};

/** A recurring job as operators see it. */
export interface CronListing {
  /** Unique among all recurring jobs. */
  readonly name: string;
  /** Of the jobs that are enqueued. */
  readonly class: string;
  /** The cron expression. */
  readonly spec: string;
  /** IANA name. */
  readonly timeZone: string;
  /** What happens to times during which no processor was alive, as in `CronOptions`. */
  readonly catchUp: 'skip' | 'once' | 'all';
  /** true: an operator has paused it, and its times are skipped. */
  readonly paused: boolean;
  /** true: it was declared by `Cron.upsert`; false: by its class. */
  readonly runTime: boolean;
  /** false: no processor has known it for a day, so its class was probably removed. After a week it is deleted. */
  readonly known: boolean;
  /** The next tick by the expression; null if there will be none, for example because it is paused or not known. */
  readonly nextTick: Date | null;
  /** The latest tick that was enqueued. */
  readonly lastTick: Date | null;
  /** The id of the job that was enqueued last. */
  readonly lastEnqueuedId: string | null;
  /** Ticks that were ever missed. */
  readonly missed: number;
  /** The number of them that were caught up. */
  readonly caughtUp: number;
}

/** Lists and controls recurring jobs from any process. */
export class CronTable {
  /** @param audit receives the changes as events. Default: none. */
  constructor(
    private readonly knex: Knex,
    private readonly audit?: Auditor,
  ) {}

  /** All recurring jobs, by name. */
  async list(): Promise<CronListing[]> {
    return (await readStates(this.knex)).map(listing);
  }

  /** The processors follow at once. @throws UserError for an unknown name. */
  async act(action: CronAction, name: string): Promise<void> {
    const { rows } = await this.knex.raw<{ rows: unknown[] }>(
      `with changed as (${CHANGES[action]()} where name = ? returning name) select pg_notify(?, ?) from changed`,
      [name, TABLES.channel, 'cron' satisfies Notice],
    );
    if (rows.length === 0) throw await this.unknown(name);
    this.audit?.events.emit('operator.cron', { action, name, via: this.audit.via });
  }

  private async unknown(name: string): Promise<UserError> {
    const names = (await readStates(this.knex)).map((state) => state.name);
    const near = didYouMean(name, names);
    const meant = near === undefined ? '' : ` Did you mean ${near}?`;
    const all = names.length === 0 ? 'There is none yet.' : `There are: ${names.join(', ')}.`;
    return new UserError(`There is no recurring job ${JSON.stringify(name)}.${meant} ${all}`);
  }
}

function listing(state: CronState): CronListing {
  return {
    name: state.name,
    class: state.class,
    spec: state.spec,
    timeZone: state.time_zone,
    catchUp: state.catch_up,
    paused: state.paused,
    runTime: state.args !== null,
    known: state.known,
    nextTick: (state.paused || !state.known ? undefined : nextTick(state)) ?? null,
    lastTick: state.last_tick,
    lastEnqueuedId: state.last_enqueued_id,
    missed: Number(state.missed),
    caughtUp: Number(state.caught_up),
  };
}

/** @returns the first tick that nobody has enqueued yet; undefined while it is paused. It may be in the future. */
export function dueTick({ paused, settled_until, ...state }: CronState): Date | undefined {
  return paused ? undefined : nextTick({ ...state, now: settled_until });
}

function nextTick({ spec, time_zone, now }: Pick<CronState, 'spec' | 'time_zone' | 'now'>): Date | undefined {
  try {
    return new Schedule(spec, time_zone).next(now);
  } catch {
    // A newer deploy may use expressions that this one cannot parse.
    return undefined;
  }
}
