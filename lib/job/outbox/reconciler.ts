import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript, readInfo } from '../../core/redis-script';
import { PeriodicTask } from '../../support/periodic-task';
import { keyPrefix } from '../queue/keys';
import { queueNames } from '../queue/queue-status';
import { queuesWithStrays } from '../queue/queue-upkeep';
import type { StrayJobs } from '../queue/stray-jobs';
import { type Cursor, deleteRows, dispatchedAfter, redispatch } from './table';

/** Interval of the check for a Redis that has lost its data, ms. */
const EVERY_MS = 2000;
/** Interval of routine comparisons of a part of the outbox, ms. */
const ROUTINE_MS = 10_000;
/** The same intervals while nothing happens in the outbox, ms. The heartbeat notices an emptied Redis sooner. */
const IDLE_EVERY_MS = 60_000;
const IDLE_ROUTINE_MS = 3_600_000;
/** Interval of the checks for jobs that are on no list, ms. */
const STRAYS_MS = 10_000;
const IDLE_STRAYS_MS = 60_000;
/** Rows per look-up. */
const PAGE = 1000;
/** Pages of a routine comparison; the next one continues from there. */
const ROUTINE_PAGES = 5;
/** A new run is compared in full twice, since a relay may have been between its dispatch and COMMIT the first time. */
const WHOLE_WALKS = 2;

export interface ReconcilerTuning {
  /** Interval of the check for a Redis that has lost its data, ms. Default 2,000. */
  readonly compareMs?: number;
  /** Interval of routine comparisons of a part of the outbox, ms. Default 10,000. */
  readonly routineMs?: number;
  /** Rows per look-up. Default 1,000. */
  readonly page?: number;
}

export interface ReconcilerOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** @returns true when this process is running the job, which then is not lost even if Redis has lost it. */
  readonly isRunning: (id: string) => boolean;
  /** @returns true when no other tree makes the routine comparisons. Default: none does. */
  readonly leads?: () => boolean;
  /** @returns true while nothing happens in the outbox. Default: it is never idle. */
  readonly isIdle?: () => boolean;
  /** @returns true when rows may be dispatched at all. */
  readonly mayDispatch: () => Promise<boolean>;
  /** Called when Redis may have lost its data, before rows are returned to the relay. */
  readonly onNewRun: () => Promise<void>;
  /** Called when Redis has lost all its data. */
  readonly onEmptied: () => void;
  /** Called when rows were returned to the relay. */
  readonly onLost: (count: number) => void;
  /** Called when jobs that were on no list were put back on one. */
  readonly onRestored: (queue: string, count: number) => void;
  /** The queues that this process serves. */
  readonly queues: readonly string[];
  readonly onError: (error: Error) => void;
  readonly tuning?: ReconcilerTuning | undefined;
}

/**
 * Finds dispatched rows whose jobs Redis no longer has, and returns them to the relay. It compares the whole outbox
 * when Redis may have lost its data, otherwise a part at a time, as a safety net against unforeseen losses. Jobs that
 * have a record in Redis but are on no list are put back on one. Of several trees one compares at a time: the whole is
 * compared by the holder of a lease in Redis, the parts by the tree whose relay leads.
 */
export class Reconciler {
  private cursor: Cursor | undefined;
  /** Full comparisons in the current run of Redis. */
  private wholeWalks = { run: '', count: 0 };
  /** true: this process has seen a compared run, so a Redis that has none afterwards was emptied. */
  private hasSeenCompared = false;
  private strays: StrayJobs | undefined;
  private readonly id = randomUUID();
  private routineAt = performance.now();
  private lookedAt = Number.NEGATIVE_INFINITY;
  private lookedForStraysAt = performance.now();
  /** The run id of the Redis that is connected, once it is known. */
  private runId: string | undefined;
  private readonly routineMs: number;
  private readonly page: number;
  readonly task: PeriodicTask;

  constructor(private readonly options: ReconcilerOptions) {
    const { tuning, onError } = options;
    this.routineMs = tuning?.routineMs ?? ROUTINE_MS;
    this.page = tuning?.page ?? PAGE;
    this.task = new PeriodicTask({ everyMs: tuning?.compareMs ?? EVERY_MS, work: () => this.pass(), onError });
  }

  /** Call when Redis is available again, since it may have lost its data. */
  trigger(): void {
    this.runId = undefined;
    this.lookedAt = Number.NEGATIVE_INFINITY;
    this.task.trigger();
  }

  /** Makes the next pass check whether Redis has lost its data, even if nothing happens in the outbox. */
  lookSoon(): void {
    this.lookedAt = Number.NEGATIVE_INFINITY;
  }

  private async pass(): Promise<number | undefined> {
    const { redis } = this.options;
    if (!redis.isReady) return undefined;
    const isIdle = this.options.isIdle?.() ?? false;
    const now = performance.now();
    if (isIdle && now - this.lookedAt < IDLE_EVERY_MS) return undefined;
    this.lookedAt = now;
    this.runId ??= await readRunId(redis);
    // Nearly all passes end here, and only those of the leading tree query Postgres, however large the fleet is.
    if (await isCompared(redis, this.runId)) {
      this.hasSeenCompared = true;
      await this.routine(isIdle);
      return undefined;
    }
    // A tree that may not dispatch must not take the lease.
    if (!(await this.options.mayDispatch())) return undefined;
    const run = await currentRun(redis, this.runId, this.id);
    // Another has marked it meanwhile: the next pass goes on from there.
    if (run.compared) return undefined;
    if (run.first && this.hasSeenCompared) this.options.onEmptied();
    this.hasSeenCompared = false;
    this.cursor = undefined;
    if (run.othersCompare) return undefined;
    await this.options.onNewRun();
    await this.walk(Number.POSITIVE_INFINITY);
    await this.lookForStrays();
    const ofRun = `${run.runId} ${run.id}`;
    const before = this.wholeWalks.run === ofRun ? this.wholeWalks.count : 0;
    this.wholeWalks = { run: ofRun, count: before + 1 };
    if (this.wholeWalks.count >= WHOLE_WALKS) this.hasSeenCompared = await markCompared(redis, run);
    return undefined;
  }

  /** Compares the next part of the outbox, if it is time and no other tree does. */
  private async routine(isIdle: boolean): Promise<void> {
    const { leads = () => true, mayDispatch } = this.options;
    const isDue = (since: number, everyMs: number) => performance.now() - since >= everyMs;
    if (!leads()) return;
    // An idle one need not query Postgres until it compares.
    if (!isIdle && !(await mayDispatch())) return;
    const compares = isDue(this.routineAt, isIdle ? IDLE_ROUTINE_MS : this.routineMs);
    const strays = isDue(this.lookedForStraysAt, isIdle ? IDLE_STRAYS_MS : Math.min(STRAYS_MS, this.routineMs));
    if (compares && (await mayDispatch())) {
      this.routineAt = performance.now();
      await this.walk(ROUTINE_PAGES);
    }
    if (strays) await this.lookForStrays();
  }

  private async lookForStrays(): Promise<void> {
    const { redis, queues } = this.options;
    this.lookedForStraysAt = performance.now();
    const known = new Set([...queues, ...(await queueNames(redis))]);
    const strayed = await queuesWithStrays(redis, [...known]);
    if (strayed.length === 0) return;
    const { StrayJobs } = await import('../queue/stray-jobs');
    this.strays ??= new StrayJobs(this.options);
    await this.strays.check(strayed);
  }

  private async walk(pages: number): Promise<void> {
    for (let page = 0; page < pages; page++) {
      const rows = await dispatchedAfter(this.options.knex, this.cursor, this.page);
      const last = rows.at(-1);
      if (last) await this.compare(rows);
      this.cursor = last && rows.length === this.page ? { dispatchedAt: last.dispatched_at, id: last.id } : undefined;
      if (!this.cursor) return;
    }
  }

  private async compare(rows: readonly { readonly id: string; readonly queue: string }[]): Promise<void> {
    const { knex, redis, isRunning, onLost } = this.options;
    const known = await whatRedisKnows(redis, rows);
    await answerWithin(ANSWER_MS, redis.pExpire(LEASE_KEY, LEASE_MS));
    const inState = (state: string) => rows.filter((_, index) => known[index] === state).map((row) => row.id);
    const ended = inState('ended');
    if (ended.length > 0) await deleteRows(knex, ended);
    const unknown = inState('unknown').filter((id) => !isRunning(id));
    const lost = unknown.length > 0 ? await redispatch(knex, unknown) : 0;
    if (lost > 0) onLost(lost);
  }
}

/**
 * `known`: Redis has the job, or its end in `ended`, which the completer handles; `ended`: Redis has only its end in
 * `tombstones`; `unknown`: Redis has no trace of it.
 */
export type KnownState = 'known' | 'ended' | 'unknown';

// KEYS  queue prefixes
// ARGV  id, number of its queue for each
// reply one letter an id: k, e, u
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for a = 1, #ARGV, 2 do
  local id, p = ARGV[a], KEYS[tonumber(ARGV[a + 1])]
  if call('hexists', p..'jobs', id) == 1 or call('zscore', p..'ended', id) then out[#out + 1] = 'k'
  elseif call('zscore', p..'tombstones', id) then out[#out + 1] = 'e'
  else out[#out + 1] = 'u' end
end
return table.concat(out)`);

const STATES: Readonly<Record<string, KnownState>> = { k: 'known', e: 'ended', u: 'unknown' };

/** Reads the states of a page of outbox rows in one script call. @returns a state for each, in order. */
export async function whatRedisKnows(
  client: RedisClient,
  rows: readonly { readonly id: string; readonly queue: string }[],
): Promise<KnownState[]> {
  if (rows.length === 0) return [];
  const queues = [...new Set(rows.map((row) => row.queue))];
  const args = rows.flatMap((row) => [row.id, String(queues.indexOf(row.queue) + 1)]);
  const reply = String(await SCRIPT.run(client, queues.map(keyPrefix), args));
  return rows.map((_, index) => STATES[reply[index] ?? ''] ?? 'known');
}

/** The Redis key of the run id of the Redis process whose data has been compared with the outbox. */
const KEY = 'catamount:reconciled-run';
/**
 * The Redis key of a random id that exists until the data has been compared; after a FLUSHALL it is another one.
 */
const BEGUN_KEY = 'catamount:reconciled-run:begun';
/** string: the reconciler that compares this run; it expires unless that one renews it in time. */
const LEASE_KEY = 'catamount:reconciled-run:lease';
const LEASE_MS = 10_000;
const ANSWER_MS = 5000;

/**
 * A run of Redis: one process with its data. It ends when Redis restarts, perhaps from an older copy, or is emptied.
 */
export interface RedisRun {
  readonly runId: string;
  /** Random id of this run; '' once it has been compared. */
  readonly id: string;
  /** true: a process has compared this run already. */
  readonly compared: boolean;
  /** true: Redis has no trace of an earlier run, so it is new or was emptied. */
  readonly first: boolean;
  /** true: another reconciler compares it. */
  readonly othersCompare: boolean;
}

// KEYS  1 the compared run, 2 the begun run, 3 the lease
// ARGV  1 run id, 2 a random id, 3 the caller, 4 the duration of its lease, ms
// reply { "" when this run has been compared, else its id; 1 when no run was compared before; 1 when others compare it }
const LOOK = new RedisScript(`
local call = redis.call
local compared = call('get', KEYS[1])
if compared == ARGV[1] then return {'', 0, 0} end
call('setnx', KEYS[2], ARGV[2])
local others = (call('get', KEYS[3]) or ARGV[3]) ~= ARGV[3]
if not others then call('set', KEYS[3], ARGV[3], 'PX', ARGV[4]) end
return {call('get', KEYS[2]), compared and 0 or 1, others and 1 or 0}`);

// KEYS  as above
// ARGV  1 run id, 2 its id
// reply 1 when it still is the same run
const MARK = new RedisScript(`
local call = redis.call
if call('get', KEYS[2]) ~= ARGV[2] then return 0 end
call('set', KEYS[1], ARGV[1]); call('del', KEYS[2], KEYS[3])
return 1`);

/** The run id stays the same as long as the connection does. */
async function readRunId(client: RedisClient): Promise<string> {
  const info = await answerWithin(ANSWER_MS, client.info('server'));
  return readInfo(info).get('run_id') ?? 'unknown';
}

/** @returns true when the data of this run has been compared. */
async function isCompared(client: RedisClient, runId: string): Promise<boolean> {
  return (await answerWithin(ANSWER_MS, client.get(KEY))) === runId;
}

/** @param caller unique among all reconcilers. Unless another one holds the lease, it does from now on. */
export async function currentRun(client: RedisClient, runId: string, caller: string): Promise<RedisRun> {
  const args = [runId, randomUUID(), caller, String(LEASE_MS)];
  const reply = await LOOK.run(client, [KEY, BEGUN_KEY, LEASE_KEY], args);
  const [begun, first, others] = reply as readonly [string, number, number];
  return { runId, id: begun, compared: begun === '', first: first === 1, othersCompare: others === 1 };
}

/** @returns false, with nothing changed, when Redis was emptied since `currentRun`, or another process was first. */
export async function markCompared(client: RedisClient, { runId, id }: RedisRun): Promise<boolean> {
  return (await MARK.run(client, [KEY, BEGUN_KEY, LEASE_KEY], [runId, id])) === 1;
}
