import type { Knex } from 'knex';
import { ORIGIN_SQL } from '../row/installation';

/**
 * Creates the tables of jobs.
 *
 * `job_queue` has a row for each job from its enqueue to its end; lib/job/README.md has the picture of its states. Most rows
 * live for moments. So each look-up has a partial index of its own, and autovacuum runs by the number of dead rows instead of
 * by their share. `run_at` uses the wall clock instead of the transaction's start, so jobs of one transaction keep their order.
 *
 * `job_dead` has the jobs that have died. They stay for months and are searched, so its settings are others. Each page counts
 * the matching rows, if possible by an index-only scan, which needs a current visibility map; hence autovacuum also runs after
 * inserts. `search` and `messages` are stored in the row itself, since a search for a word would otherwise fetch each of them
 * from the TOAST table.
 *
 * `job_cron` has a row for each recurring job: ticks up to `settled_until` were enqueued or given up in the same transaction
 * that moved it. `job_processes` has the processors that run something long; `job_pauses` the queues that operators have
 * paused. `job_stats` counts what became of jobs and mails, by minute, by hour and in total; all processes add to the same few
 * rows. `job_installation` says whose database this is, so that a copy does not run the original's jobs.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table job_queue (
      id uuid primary key default gen_random_uuid(),
      state text not null default 'ready' check (state in ('scheduled', 'held', 'ready', 'running')),
      queue text collate "C" not null,
      class text collate "C" not null,
      payload json not null,
      tags text[] collate "C" not null default '{}',
      run_at timestamptz not null default clock_timestamp(),
      left_since timestamptz,
      created_at timestamptz not null default clock_timestamp(),
      attempts integer not null default 0,
      deliveries integer not null default 0,
      claimed_by text,
      claimed_at timestamptz,
      limit_key text,
      unique_key text,
      unique_until timestamptz,
      history json,
      error text,
      messages text,
      cursor json,
      progress json
    ) with (
      autovacuum_vacuum_scale_factor = 0,
      autovacuum_vacuum_threshold = 5000,
      autovacuum_analyze_scale_factor = 0,
      autovacuum_analyze_threshold = 50000
    )`);
  await knex.raw(`create index job_queue_ready on job_queue (queue, run_at) where state = 'ready'`);
  await knex.raw(
    `create index job_queue_ready_limited on job_queue (queue, run_at) where state = 'ready' and limit_key is not null`,
  );
  await knex.raw(`create index job_queue_scheduled on job_queue (run_at) where state = 'scheduled' and attempts = 0`);
  await knex.raw(`create index job_queue_retries on job_queue (run_at) where state = 'scheduled' and attempts > 0`);
  await knex.raw(`create index job_queue_running on job_queue (claimed_by) where state = 'running'`);
  await knex.raw(`create index job_queue_limited on job_queue (limit_key, state, run_at) where limit_key is not null`);
  await knex.raw('create index job_queue_by_class on job_queue (class, state, run_at)');
  await knex.raw(`create index job_queue_by_tag on job_queue using gin (tags) where tags <> '{}'`);
  await knex.raw('create unique index job_queue_unique on job_queue (unique_key) where unique_key is not null');
  // Statistics of a queue at work, until there are real ones. Without any, Postgres expects a handful of ready jobs, and sorts
  // all of them for each claim of the first ones.
  await knex.raw(
    `insert into job_queue (state, queue, class, payload, run_at)
     select case n % 10 when 0 then 'scheduled' when 1 then 'running' else 'ready' end,
       case n % 3 when 0 then 'mailer' else 'default' end, 'Job' || n % 7, '{}', now() - n * interval '1 second'
     from generate_series(1, 1000) as n`,
  );
  await knex.raw('analyze job_queue');
  await knex.raw('truncate job_queue');
  await knex.raw(`
    create table job_dead (
      id uuid primary key,
      queue text collate "C" not null,
      class text collate "C" not null,
      payload json not null,
      history json,
      error text collate "C" not null,
      attempts integer not null,
      tags text[] collate "C" not null,
      limit_key text,
      messages text not null,
      search text not null,
      cursor json,
      progress json,
      died_at timestamptz not null default clock_timestamp()
    ) with (
      autovacuum_vacuum_scale_factor = 0.02,
      autovacuum_vacuum_threshold = 500,
      autovacuum_vacuum_insert_scale_factor = 0.02,
      autovacuum_vacuum_insert_threshold = 500,
      autovacuum_analyze_scale_factor = 0.05,
      autovacuum_analyze_threshold = 500
    )`);
  await knex.raw('alter table job_dead alter messages set storage main, alter search set storage main');
  await knex.raw('create index job_dead_by_time on job_dead (died_at desc, id) include (tags)');
  await knex.raw('create index job_dead_by_queue on job_dead (queue, died_at desc, id)');
  await knex.raw('create index job_dead_by_class on job_dead (class, died_at desc, id)');
  await knex.raw('create index job_dead_by_tag on job_dead using gin (tags)');
  await knex.raw(`
    create table job_cron (
      name text primary key,
      class text not null,
      spec text not null,
      time_zone text not null,
      catch_up text not null,
      settled_until timestamptz not null default clock_timestamp(),
      last_tick timestamptz,
      last_enqueued_id uuid,
      missed bigint not null default 0,
      caught_up bigint not null default 0,
      paused boolean not null default false,
      run_requested_at timestamptz,
      refreshed_at timestamptz not null default clock_timestamp(),
      created_at timestamptz not null default clock_timestamp()
    ) with (fillfactor = 50)`);
  await knex.raw(`
    create table job_processes (
      identity text primary key,
      seen_at timestamptz not null default clock_timestamp()
    ) with (fillfactor = 50)`);
  await knex.raw(`
    create table job_pauses (
      queue text primary key,
      paused_at timestamptz not null,
      paused_by text not null
    )`);
  await knex.raw(`
    create table job_stats (
      span text collate "C" not null check (span in ('minute', 'hour', 'total')),
      at timestamptz not null,
      kind text collate "C" not null check (kind in ('job', 'mail', 'batch')),
      name text collate "C" not null,
      counts float8[] not null default '{}',
      maxima float8[] not null default '{}',
      primary key (span, at, kind, name)
    ) with (fillfactor = 50)`);
  await knex.raw(`
    create table job_installation (
      singleton boolean primary key default true check (singleton),
      origin text not null
    )`);
  await knex.raw(`insert into job_installation (origin) select ${ORIGIN_SQL}`);
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['installation', 'stats', 'pauses', 'processes', 'cron', 'dead', 'queue'])
    await knex.raw(`drop table job_${table}`);
}
