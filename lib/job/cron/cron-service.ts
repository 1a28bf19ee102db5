import { performance } from 'node:perf_hooks';
import type { Knex } from 'knex';
import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { withAttributes } from '../../core/execution-context';
import { Backoff } from '../../support/backoff';
import { PeriodicTask } from '../../support/periodic-task';
import { Progress } from '../../support/progress';
import { toError } from '../../support/to-error';
import { RecordGoneError } from '../definition/errors';
import type { CronOptions, EnqueuedJob, JobClass } from '../definition/job-class';
import { effectiveName } from '../definition/options';
import type { Gate } from '../dispatch/gate';
import { enqueueOne } from '../enqueue/enqueue';
import { deserializeArguments } from '../record/argument-decoder';
import type { ArgumentCodec } from '../record/arguments';
import { type Keyring, readArguments } from '../record/encryption';
import { isMadeAt } from '../row/installation';
import { argumentOwner, type CronRow, isSame, lockRow, readRows, refresh, settle } from './cron-table';
import { type CronEntry, Schedule } from './schedule';

export interface CronTuning {
  /** Maximum pause between two passes, ms. It bounds the delay after a suspend or a clock jump. Default 10,000. */
  readonly pollMs?: number;
  /** Interval at which the rows are marked as known, ms. Default 60,000. */
  readonly refreshMs?: number;
}

/** Delay before the next try for a row that another processor has locked, ms. */
const HELD_MS = 500;
/** Interval of the looks at an empty table, ms. */
const EMPTY_MS = 900_000;
/** Delay before the next look at a database that is a copy, ms. */
const COPY_MS = 2000;

export interface CronServiceOptions {
  readonly knex: Knex;
  readonly events: Events;
  readonly entries: readonly CronEntry[];
  /** The classes of recurring jobs that were declared at run time. */
  readonly registry: { get(name: string): JobClass | undefined };
  readonly codec: ArgumentCodec;
  readonly keys?: Keyring | undefined;
  /** Closed while this database is a copy of another one. Default: it is none. */
  readonly gate?: Gate | undefined;
  readonly tuning?: CronTuning | undefined;
}

/** Another process has locked the row of a recurring job, or declares the job differently. */
export class RowLockedError extends Error {
  override readonly name = 'RowLockedError';

  constructor(entry: string) {
    super(`another process holds the row of ${entry}`);
  }
}

interface Done {
  readonly plan: CatchUp;
  readonly runs: readonly { readonly id: string; readonly scheduledFor: Date; readonly reason: string | undefined }[];
}

/**
 * Enqueues recurring jobs at their times. Every processor has one, and none leads: the first to lock an entry's row enqueues
 * what is due and advances the row, in one transaction. Only Postgres's clock counts.
 */
export class CronService {
  readonly progress = new Progress();
  readonly task: PeriodicTask;
  private readonly failing = new Map<string, { readonly backoff: Backoff; notBefore: number; error: Error }>();
  /** The schedules of rows that were declared at run time, by expression and zone. */
  private readonly schedules = new Map<string, Schedule>();
  /** Names of such rows that this process cannot run, which it has reported. */
  private readonly reported = new Set<string>();
  private claimed = false;
  private refreshAt = 0;
  /** true: neither classes nor the table have recurring jobs. */
  private isEmpty = false;

  constructor(private readonly options: CronServiceOptions) {
    const onError = (error: Error) => options.events.emit('cron.error', { error });
    this.task = new PeriodicTask({
      everyMs: options.tuning?.pollMs ?? 10_000,
      work: () => this.pass(),
      // The first row is announced.
      idle: { everyMs: EMPTY_MS, is: () => this.isEmpty },
      onError,
      progress: this.progress,
    });
  }

  /** Starts, also again after a stop. */
  start(): void {
    this.task.start();
  }

  /** Makes a pass now, since the table may have changed. */
  trigger(): void {
    this.task.trigger();
  }

  /** @returns ms until the next tick. */
  private async pass(): Promise<number | undefined> {
    const { knex, entries, gate } = this.options;
    await gate?.refresh();
    if (gate && gate.origin === undefined) return COPY_MS;
    if (entries.length > 0) await this.refresh();
    const readAt = performance.now();
    const rows = await readRows(
      knex,
      entries.map((entry) => entry.name),
    );
    this.isEmpty = rows.length === 0 && entries.length === 0;
    // Of rows that are gone.
    if (this.schedules.size > 2 * rows.length) this.schedules.clear();
    let waitMs: number | undefined;
    const declared = entries.flatMap(({ name }) => rows.filter((row) => row.name === name && row.args === null));
    for (const row of [...declared, ...rows.filter(({ args }) => args !== null)]) {
      const entry = this.entryOf(row);
      // A stop waits for the transaction in progress, and for no other.
      if (this.task.stopped) break;
      if (!entry) continue;
      const ms = await this.attend(entry, row);
      if (ms !== undefined) waitMs = Math.min(waitMs ?? ms, ms);
    }
    // The waits are relative to the moment at which the rows were read.
    return waitMs && Math.max(1, waitMs - (performance.now() - readAt));
  }

  /** @returns undefined if the processors of another deploy handle this row. */
  private entryOf(row: CronRow): CronEntry | undefined {
    if (row.args === null) return this.options.entries.find((entry) => entry.name === row.name && isSame(row, entry));
    const { name, spec, time_zone: timeZone, catch_up: policy } = row;
    try {
      const jobClass = this.options.registry.get(row.class);
      if (!jobClass) throw new UserError(`its class ${row.class} is not in this app`);
      const key = `${spec} ${timeZone}`;
      const schedule = this.schedules.get(key) ?? new Schedule(spec, timeZone);
      this.schedules.set(key, schedule);
      this.reported.delete(name);
      return { name, jobClass, spec, timeZone, policy, args: [], schedule };
    } catch (thrown) {
      // A newer deploy may have the class, or read the expression.
      if (!this.reported.has(name)) this.options.events.emit('cron.error', { name, error: toError(thrown) });
      this.reported.add(name);
      return undefined;
    }
  }

  private async refresh(): Promise<void> {
    const { knex, entries, tuning } = this.options;
    if (performance.now() < this.refreshAt) return;
    await refresh(knex, entries, !this.claimed);
    this.claimed = true;
    this.refreshAt = performance.now() + (tuning?.refreshMs ?? 60_000);
  }

  /** @returns ms until this entry needs attention again; undefined: not before the next poll. */
  private async attend(entry: CronEntry, row: CronRow): Promise<number | undefined> {
    const waitMs = msUntilDue(entry, row);
    if (waitMs === undefined || waitMs > 0) return waitMs;
    const failure = this.failing.get(entry.name);
    if (failure && failure.notBefore > performance.now()) {
      this.progress.failed(failure.error);
      return failure.notBefore - performance.now();
    }
    try {
      const done = await this.options.knex.transaction((trx) => this.enqueueDue(trx, entry));
      this.failing.delete(entry.name);
      if (!done) {
        this.progress.failed(new RowLockedError(entry.name));
        return HELD_MS;
      }
      this.report(entry, done);
      return msUntilDue(entry, { ...row, settled_until: row.now, run_requested_at: null });
    } catch (thrown) {
      return this.failed(entry, toError(thrown));
    }
  }

  /** @returns undefined if another processor has locked the entry or declares it differently. */
  private async enqueueDue(trx: Knex.Transaction, { name }: CronEntry): Promise<Done | undefined> {
    const row = await lockRow(trx, name);
    const entry = row && this.entryOf(row);
    if (!entry) return undefined;
    const { gate } = this.options;
    // A dump of another installation may have been restored meanwhile.
    if (gate?.origin !== undefined && !(await isMadeAt(trx, gate.origin))) return undefined;
    const options = { policy: entry.policy, ...USUAL_LIMITS };
    const plan = row.paused ? NOTHING : catchUp(entry.schedule, row.settled_until, row.now, options);
    const times = row.run_requested_at ? [...plan.ticks, row.run_requested_at] : plan.ticks;
    const runs: Done['runs'][number][] = [];
    const args = times.length > 0 ? await this.argumentsOf(row, entry) : [];
    for (const scheduledFor of times) {
      if (args instanceof RecordGoneError) {
        runs.push({ id: '', scheduledFor, reason: args.message });
        continue;
      }
      const { id, enqueued, reason } = await enqueueTick({ ...entry, args }, scheduledFor, trx);
      runs.push({ id, scheduledFor, reason: enqueued ? undefined : (reason ?? 'unknown') });
    }
    await settle(trx, entry.name, plan, runs.filter((run) => run.reason === undefined).at(-1)?.id);
    return { plan, runs };
  }

  /** @returns the error if a model among them is gone: then its times are skipped. */
  private async argumentsOf(row: CronRow, entry: CronEntry): Promise<readonly unknown[] | RecordGoneError> {
    if (row.args === null) return entry.args;
    const { id, class: className } = argumentOwner(row);
    const stored = 'encrypted' in row.args ? { args: [], ...row.args } : { args: row.args };
    try {
      const args = readArguments({ class: className, ...stored }, id, this.options.keys);
      return await deserializeArguments(args, this.options.codec);
    } catch (thrown) {
      if (thrown instanceof RecordGoneError) return thrown;
      throw thrown;
    }
  }

  private report({ name, jobClass, policy }: CronEntry, { plan, runs }: Done): void {
    const { events } = this.options;
    const about = { name, class: effectiveName(jobClass) };
    for (const { id, scheduledFor, reason } of runs) {
      if (reason === undefined) events.emit('cron.enqueued', { ...about, id, scheduledFor });
      else events.emit('cron.skipped', { ...about, scheduledFor, reason });
    }
    const { missed, caughtUp, limited } = plan;
    if (missed > 0) events.emit('cron.missed', { ...about, policy, missed, caughtUp, limited });
  }

  private failed(entry: CronEntry, error: Error): number {
    const { backoff } = this.failing.get(entry.name) ?? { backoff: new Backoff({ base: 500, max: 60_000 }) };
    const failure = { backoff, notBefore: 0, error };
    this.progress.failed(error);
    this.failing.set(entry.name, failure);
    if (failure.backoff.attempts === 0) this.options.events.emit('cron.error', { name: entry.name, error });
    const waitMs = failure.backoff.next();
    failure.notBefore = performance.now() + waitMs;
    return waitMs;
  }
}

const NOTHING: CatchUp = { ticks: [], settledUntil: undefined, missed: 0, caughtUp: 0, limited: false };

/** Time until the next tick by the row's own `now`, ms. 0 or less: a tick is due. undefined: no tick will be. */
function msUntilDue(entry: CronEntry, row: CronRow): number | undefined {
  if (row.run_requested_at) return 0;
  const next = row.paused ? undefined : entry.schedule.next(row.settled_until);
  return next && next.getTime() - row.now.getTime();
}

export type CatchUpPolicy = NonNullable<CronOptions['catchUp']>;

export interface CatchUpOptions {
  readonly policy: CatchUpPolicy;
  /** A tick that is handled within this time is on time, ms. */
  readonly graceMs: number;
  /** Maximum number of ticks; by any policy, earlier ones are skipped and not even counted. */
  readonly limit: number;
}

/** The limits of a job processor. */
export const USUAL_LIMITS = Object.freeze({ graceMs: 60_000, limit: 1000 });

export interface CatchUp {
  readonly ticks: readonly Date[];
  /** Ticks up to here are handled; undefined: none was due. */
  readonly settledUntil: Date | undefined;
  /** Number of ticks that were not enqueued on time. */
  readonly missed: number;
  /** Number of missed ticks that are enqueued now. */
  readonly caughtUp: number;
  /** true if there were more than the limit; the counts leave the oldest out. */
  readonly limited: boolean;
}

/**
 * Decides about the ticks between the last one that was handled and now. `all`: each is enqueued. `once`: the latest.
 * `skip`: the latest, unless it is late.
 */
export function catchUp(schedule: Schedule, settledUntil: Date, now: Date, options: CatchUpOptions): CatchUp {
  const { policy, graceMs, limit } = options;
  const found = schedule.ticks(settledUntil, now, limit + 1);
  const due = found.slice(-limit);
  const isOnTime = (tick: Date): boolean => now.getTime() - tick.getTime() <= graceMs;
  const latest = due.slice(-1);
  const ticks = policy === 'all' ? due : policy === 'once' ? latest : latest.filter(isOnTime);
  const onTime = ticks.filter(isOnTime).length;
  return {
    ticks,
    settledUntil: latest[0],
    missed: due.length - onTime,
    caughtUp: ticks.length - onTime,
    limited: found.length > limit,
  };
}

/** Enqueues like the class's own `performLater`, so that its middleware, uniqueness and queue apply. */
export function enqueueTick(
  { jobClass, args }: CronEntry,
  scheduledFor: Date,
  trx?: Knex.Transaction,
): Promise<EnqueuedJob> {
  return withAttributes({ scheduledFor: scheduledFor.toISOString() }, () => enqueueOne(jobClass, { trx }, args));
}
