import type { Knex } from 'knex';
import { CHILD_SILENT_MS, type TreeStatus } from '../cluster/status';
import { TABLES } from '../core/config';
import type { Redis } from '../core/redis';
import { readInfo } from '../core/redis-script';
import { dueTick, readStates } from '../job/cron/cron-table';
import { readHistory } from '../job/record/history';
import { History } from '../job/stats/history';
import { ALLOWED_SQL } from '../model/allowed-connections';
import { refusesWrites } from '../model/read-only';

/** SQL condition: created since midnight UTC. */
const MIDNIGHT = `date_trunc('day', now() at time zone 'utc') at time zone 'utc'`;
const TODAY = `created_at >= ${MIDNIGHT}`;
/** Maximum number of jobs that are looked up, those with the newest mails, to bound the time. */
const MAX_JOBS_LOOKED_UP = 1000;

/** Counts today's failed mails that their jobs will send again. @throws errors of Postgres. */
async function countMailsToRetry(knex: Knex): Promise<number> {
  const jobs = await knex(knex.raw(TABLES.deliveries))
    .where({ state: 'failed' })
    .whereRaw(TODAY)
    .groupBy('job')
    .select<{ job: string; mails: number }[]>(
      knex.raw(`split_part(key, '/', 1) as job`),
      knex.raw('count(*)::int as mails'),
    )
    .orderByRaw('max(created_at) desc')
    .limit(MAX_JOBS_LOOKED_UP);
  // Imported on demand: most of the time no mail has failed.
  const { comingJobs } = await import('../job/sets/find-job');
  const coming = await comingJobs(
    knex,
    jobs.map(({ job }) => job),
  );
  return jobs.reduce((sum, { job, mails }) => sum + (coming.has(job) ? mails : 0), 0);
}

export interface PostgresFacts {
  /** For example `16.4`. */
  readonly version: string;
  readonly used: number;
  readonly allowed: number;
  readonly sizeBytes: number;
  /** Duration of one round trip, ms. */
  readonly pingMs: number;
  /** true: it is a standby, or set read-only. */
  readonly refusesWrites: boolean;
  /** The session for whose locks most others wait; null: none has waited for three seconds. */
  readonly lock: HeldLock | null;
}

/** A session of Postgres for whose locks others wait. */
export interface HeldLock {
  readonly pid: number;
  /** Its application_name, else its role. */
  readonly client: string;
  /** Empty where this role may not see it. */
  readonly query: string;
  /** The sessions that wait, and the longest wait of one, ms. */
  readonly waiting: number;
  readonly spanMs: number;
  /** A table that one of them waits for; empty: it is not known. */
  readonly table: string;
}

/** SQL condition: a session of this database that has waited for a lock for long. */
const WAITS = `wait_event_type = 'Lock' and wait_event <> 'advisory'
  and datname = current_database() and state_change < clock_timestamp() - interval '3 s'`;

const LOCK_SQL = `
  with waits as (select pid, state_change, pg_blocking_pids(pid) as behind from pg_stat_activity where ${WAITS})
  select holder.pid, coalesce(nullif(holder.application_name, ''), holder.usename) as client,
    left(regexp_replace(replace(holder.query, '<insufficient privilege>', ''), '\\s+', ' ', 'g'), 60) as query, count(*)::int as waiting,
    (extract(epoch from clock_timestamp() - min(waits.state_change)) * 1000)::float8 as "spanMs",
    coalesce(min((select relation::regclass::text from pg_locks where pg_locks.pid = waits.pid and not granted limit 1)), '') as table
  from waits join pg_stat_activity as holder on holder.pid = any(behind)
  -- Whoever waits holds up others only because of the first.
  where holder.pid not in (select pid from waits)
  group by 1, 2, 3 order by waiting desc, 1 limit 1`;

const POSTGRES_SQL = `
  select split_part(current_setting('server_version'), ' ', 1) as version,
    (select count(*)::int from pg_stat_activity
      where backend_type = 'client backend' and (r.rolconnlimit < 0 or usesysid = r.oid)) as used,
    ${ALLOWED_SQL} as allowed,
    pg_database_size(current_database())::float8 as size,
    exists (select 1 from pg_stat_activity where ${WAITS}) as locked
  from pg_roles r where r.rolname = current_user`;

/** @throws errors of Postgres. */
export async function readPostgres(knex: Knex): Promise<PostgresFacts> {
  const begun = performance.now();
  await knex.raw('select 1');
  const pingMs = performance.now() - begun;
  const { rows } = await knex.raw<{
    rows: { version: string; used: number; allowed: number; size: number; locked: boolean }[];
  }>(POSTGRES_SQL);
  const [row] = rows;
  if (!row) throw new Error('Postgres has no role of this name');
  const { version, used, allowed, size: sizeBytes } = row;
  const lock = row.locked ? await readLock(knex) : null;
  return { version, used, allowed, sizeBytes, pingMs, refusesWrites: await refusesWrites(knex), lock };
}

async function readLock(knex: Knex): Promise<HeldLock | null> {
  const { rows } = await knex.raw<{ rows: HeldLock[] }>(LOCK_SQL);
  return rows[0] ?? null;
}

export interface RedisFacts {
  readonly version: string;
  readonly usedBytes: number;
  /** 0: no limit. */
  readonly maxBytes: number;
  readonly clients: number;
  readonly maxClients: number;
  /** The eviction policy; any but `noeviction` loses counts of rate limits and the charts when memory runs out. */
  readonly policy: string;
  readonly pingMs: number;
}

/** @throws errors of Redis, also where a replica answers, which takes no writes. */
export async function readRedis(redis: Pick<Redis, 'client' | 'ping'>): Promise<RedisFacts> {
  const { client } = redis;
  const begun = performance.now();
  await redis.ping();
  const pingMs = performance.now() - begun;
  const texts = await Promise.all(['server', 'memory', 'clients'].map((section) => client.info(section)));
  const fields = readInfo(texts.join('\n'));
  const number = (name: string) => Number(fields.get(name) ?? 0);
  return {
    version: fields.get('redis_version') ?? '',
    usedBytes: number('used_memory'),
    maxBytes: number('maxmemory'),
    clients: number('connected_clients'),
    maxClients: number('maxclients'),
    policy: fields.get('maxmemory_policy') ?? 'noeviction',
    pingMs,
  };
}

export interface MailFacts {
  /** Since midnight UTC. */
  readonly sentToday: number;
  /** Mails that are being sent. */
  readonly claimedToday: number;
  /** Failed mails that will not be sent again. */
  readonly failedToday: number;
  /** Failed mails that their jobs will send again. */
  readonly retryingToday: number;
  readonly lastSent: Date | null;
  /** Mails of the last day that failed after the last one that was sent. */
  readonly failedSince: number;
  /** The last failure, unless a mail was sent after it. */
  readonly failure: { readonly at: Date; readonly error: string } | null;
}

interface Row {
  readonly sent: number;
  readonly claimed: number;
  readonly failed: number;
  readonly last_sent: Date | null;
  readonly last_failed: Date | null;
  readonly error: string | null;
  readonly failed_since: number;
}

/** Of sent mails, of which there may be many, only an index is read; of the others only those of the last day. */
const MAIL_SQL = () => `
  with recent as (
    select state, updated_at, error,
      ${TODAY} as today
    from ${TABLES.deliveries} where state <> 'sent' and created_at >= now() - interval '1 day'
  ), failure as (
    select updated_at, error from recent where state = 'failed' order by updated_at desc limit 1
  ), sent as (
    select max(sent_at) as last from ${TABLES.deliveries} where state = 'sent'
  )
  select (select count(*)::int from ${TABLES.deliveries} where state = 'sent' and sent_at >= ${MIDNIGHT}) as sent,
    count(*) filter (where today and state = 'claimed')::int as claimed,
    count(*) filter (where today and state = 'failed')::int as failed,
    (select last from sent) as last_sent, (select updated_at from failure) as last_failed, (select error from failure) as error,
    count(*) filter (where state = 'failed' and updated_at > coalesce((select last from sent), '-infinity'))::int
      as failed_since
  from recent`;

/** @throws errors of Postgres. */
export async function readMail(knex: Knex): Promise<MailFacts> {
  const { rows } = await knex.raw<{ rows: Row[] }>(MAIL_SQL());
  const [row] = rows;
  if (!row) throw new Error('Postgres returned no row about mails');
  const { last_sent: lastSent, last_failed: failedAt, error } = row;
  const retrying = row.failed === 0 ? 0 : await countMailsToRetry(knex);
  const failing = failedAt !== null && (lastSent === null || failedAt > lastSent);
  return {
    sentToday: row.sent,
    claimedToday: row.claimed,
    failedToday: Math.max(0, row.failed - retrying),
    retryingToday: retrying,
    lastSent,
    failedSince: row.failed_since,
    failure: failing ? { at: failedAt, error: error ?? '' } : null,
  };
}

/** Window of the failure rate, ms: long enough that a retry storm does not look calm between two waves. */
export const FAILURES_MS = 5 * 60_000;
/** A dead job is reported for this long, ms, unless an operator retries or deletes it. */
export const DEATHS_MS = 24 * 3_600_000;
/** A class is failing when at least this many of its runs and this share of them have failed. */
const MIN_FAILED = 5;
const MIN_FAILED_SHARE = 0.1;
/** Maximum numbers of failing classes, and of classes with dead jobs, that are named. */
const MAX_CLASSES = 5;
const MAX_DEAD_CLASSES = 20;

export interface FailingClass {
  readonly class: string;
  readonly failed: number;
  readonly runs: number;
  /** Its latest error, name and message, among its jobs that wait for a retry or are dead; empty if there is none. */
  readonly error: string;
}

/** Jobs of one class that died within `deadSpanMs` and are still in the dead set. */
export interface DeadOfClass {
  readonly class: string;
  readonly count: number;
  /** The error of the last of them, name and message. */
  readonly error: string;
}

export interface JobFailures {
  /** Most failures first. */
  readonly classes: readonly FailingClass[];
  /** Window over which failures were counted, ms. */
  readonly spanMs: number;
  /** Those with the most dead jobs first. */
  readonly dead: readonly DeadOfClass[];
  readonly deadSpanMs: number;
}

/** @throws errors of Postgres. */
export async function readFailures(knex: Knex, now: Date = new Date()): Promise<JobFailures> {
  const { classes } = await new History(knex).last(FAILURES_MS, now.getTime());
  const failing = classes
    .map(({ class: name, failed, processed }) => ({ class: name, failed, runs: failed + processed }))
    .filter(({ failed, runs }) => failed >= MIN_FAILED && failed >= runs * MIN_FAILED_SHARE)
    .sort((a, b) => b.failed - a.failed)
    .slice(0, MAX_CLASSES);
  const dead = await readDead(knex, now.getTime() - DEATHS_MS);
  const errors = await latestErrors(knex, [...failing, ...dead]);
  const withError = <T extends { readonly class: string }>(one: T) => ({ ...one, error: errors.get(one.class) ?? '' });
  return { classes: failing.map(withError), spanMs: FAILURES_MS, dead: dead.map(withError), deadSpanMs: DEATHS_MS };
}

/** @param since ms since 1970. @returns each class with jobs that died since then, those with the most first. */
async function readDead(knex: Knex, since: number): Promise<readonly Omit<DeadOfClass, 'error'>[]> {
  const { rows } = await knex.raw<{ rows: { readonly class: string; readonly count: number }[] }>(
    `select class, count(*)::int as count from ${TABLES.dead} where died_at >= ? group by class order by 2 desc, 1 limit ${MAX_DEAD_CLASSES}`,
    [new Date(since)],
  );
  return rows;
}

/** @returns the latest error of each of these classes: that of its last death, else of the last job that waits for a retry. */
async function latestErrors(
  knex: Knex,
  classes: readonly { readonly class: string }[],
): Promise<ReadonlyMap<string, string>> {
  if (classes.length === 0) return new Map();
  const { rows } = await knex.raw<{ rows: { readonly class: string; readonly history: string | null }[] }>(
    `select wanted.class, coalesce(
       (select history::text from ${TABLES.dead} as dead where dead.class = wanted.class order by died_at desc limit 1),
       (select history::text from ${TABLES.jobs} as job
         where job.class = wanted.class and state = 'scheduled' and error is not null order by run_at desc limit 1)) as history
     from unnest(?::text[]) as wanted (class)`,
    [[...new Set(classes.map((one) => one.class))]] as unknown as Knex.RawBinding[],
  );
  return new Map(rows.map(({ class: name, history }) => [name, errorLine(history)]));
}

/** @param history a `JobHistory`. @returns the first line of its latest error. */
function errorLine(history: string | null): string {
  const { stacktraces: [latest = ''] = [], reason = '' } = readHistory(history);
  return (latest || reason).split('\n', 1)[0] ?? '';
}

/** A recurring job whose latest run has failed, or that did not run at all. */
export interface FailingCron {
  readonly name: string;
  readonly class: string;
  /** Where its run is: it will be retried, it is dead, or nobody has enqueued it. */
  readonly place: 'retry' | 'dead' | 'missed';
  /** Name and message of its error; empty if it was missed. */
  readonly error: string;
  /** The time at which it should have been enqueued; null unless it was missed. */
  readonly dueAt: Date | null;
}

/** A tick that nobody has enqueued for this long, ms, was missed. Processors look every ten seconds. */
const CRON_MISSED_MS = 120_000;

/** @throws errors of Postgres. */
export async function readFailingCron(knex: Knex): Promise<readonly FailingCron[]> {
  const states = (await readStates(knex)).filter(({ known }) => known);
  if (states.length === 0) return [];
  const ids = states.flatMap(({ last_enqueued_id: id }) => id ?? []);
  const { rows } = await knex.raw<{
    rows: { readonly id: string; readonly history: string; readonly place: 'retry' | 'dead' }[];
  }>(
    `select id::text, history::text, 'retry' as place from ${TABLES.jobs}
       where id = any(?::uuid[]) and state = 'scheduled' and attempts > 0
     union all select id::text, history::text, 'dead' from ${TABLES.dead} where id = any(?::uuid[])`,
    [ids, ids] as unknown as Knex.RawBinding[],
  );
  const failed = new Map(rows.map((row) => [row.id, row]));
  return states.flatMap((state): FailingCron[] => {
    const { name, class: className, last_enqueued_id: id, now } = state;
    const dueAt = dueTick(state);
    if (dueAt && now.getTime() - dueAt.getTime() > CRON_MISSED_MS)
      return [{ name, class: className, place: 'missed', error: '', dueAt }];
    const run = failed.get(id ?? '');
    return run ? [{ name, class: className, place: run.place, error: errorLine(run.history), dueAt: null }] : [];
  });
}

/** A job that a processor had in hand when it fell silent, or that was not ended by a processor that died. */
export interface Suspect {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
}

const MAX_SUSPECTS = 3;

/**
 * The jobs that may have blocked or ended this tree's processor, those with the most deliveries first. The rows know: a job is
 * claimed before its code runs. Nothing is read while the processor is well. @throws errors of Postgres.
 */
export async function readSuspects(knex: Knex, { id, stats, processor }: TreeStatus): Promise<readonly Suspect[]> {
  const { identity, state, heartbeatAgeMs, lastCheckin } = stats.jobProcessor;
  const isSilent = lastCheckin !== null && heartbeatAgeMs !== null && heartbeatAgeMs > CHILD_SILENT_MS;
  const died = processor.nextRestart !== null || state === 'backing_off' || state === 'crash_loop';
  if (!isSilent && !died) return [];
  const { rows } = await knex.raw<{ rows: Suspect[] }>(
    `select id, class, queue from ${TABLES.jobs}
     where ${died ? `state = 'running' and starts_with(claimed_by, ?) or state = 'ready' and deliveries > 0` : `state = 'running' and claimed_by = ?`}
     order by deliveries desc, claimed_at limit ${MAX_SUSPECTS}`,
    [died ? `${id}-` : (identity ?? '')],
  );
  return rows;
}

/** A job that has run for this long, ms, occupies its slot; shorter ones come and go. */
const LONG_MS = 10_000;

/** Concurrency of one job processor, and the jobs that it runs. */
export interface Slots {
  readonly concurrency: number;
  readonly running: readonly { readonly class: string; readonly ageMs: number }[];
}

/** A class whose long jobs occupy slots. */
export interface Holder {
  readonly class: string;
  readonly count: number;
  /** Age of the oldest of them, ms. */
  readonly ageMs: number;
}

/**
 * Classes that occupy the slots, most jobs first, when long jobs are the reason for waiting. That is so if no processor has a
 * free slot, and long jobs occupy at least half of all slots. Empty otherwise: then jobs arrive faster than they finish.
 */
export function slotHolders(processors: readonly Slots[]): Holder[] {
  const total = processors.reduce((sum, { concurrency }) => sum + concurrency, 0);
  if (total === 0 || processors.some(({ concurrency, running }) => running.length < concurrency)) return [];
  const long = processors.flatMap(({ running }) => running).filter(({ ageMs }) => ageMs >= LONG_MS);
  if (long.length * 2 < total) return [];
  return countHolders(long);
}

/** @returns the classes of this work, most jobs first. */
export function countHolders(work: Slots['running']): Holder[] {
  const holders = new Map<string, Holder>();
  for (const { class: name, ageMs } of work) {
    const before = holders.get(name);
    holders.set(name, { class: name, count: (before?.count ?? 0) + 1, ageMs: Math.max(ageMs, before?.ageMs ?? 0) });
  }
  return [...holders.values()].sort((a, b) => b.count - a.count || b.ageMs - a.ageMs);
}
