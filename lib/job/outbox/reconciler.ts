import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { PeriodicTask } from '../../support/periodic-task';
import { keyPrefix } from '../queue/keys';
import { queueNames } from '../queue/queue-status';
import { StrayJobs } from '../queue/stray-jobs';
import { type Cursor, deleteRows, dispatchedAfter, redispatch } from './table';

/** How often Redis is asked whether it has lost its data, ms. */
const EVERY_MS = 2000;
/** How often a stretch is compared although it has not, ms. */
const ROUTINE_MS = 10_000;
/** Rows per look-up. */
const PAGE = 1000;
/** Pages of a routine walk; the next one goes on from there. */
const ROUTINE_PAGES = 5;
/** A new life is compared whole twice, since a relay may have been between Redis and COMMIT the first time. */
const WHOLE_WALKS = 2;

export interface ReconcilerTuning {
  /** How often Redis is asked whether it has lost its data, ms. Default 2,000. */
  readonly compareMs?: number;
  /** How often a stretch is compared although it has not, ms. Default 10,000. */
  readonly routineMs?: number;
  /** Rows per look-up. Default 1,000. */
  readonly page?: number;
}

export interface ReconcilerOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** Whether this process is running the job: Redis need not know that. */
  readonly isRunning: (id: string) => boolean;
  /** Whether rows may be dispatched at all. */
  readonly mayDispatch: () => Promise<boolean>;
  /** Redis may have lost its data: called before rows are offered to the relay again. */
  readonly onNewLife: () => Promise<void>;
  /** Redis has lost all that it had. */
  readonly onEmptied: () => void;
  /** Rows were offered to the relay again. */
  readonly onLost: (count: number) => void;
  /** Jobs that were on no list are on one again. */
  readonly onRestored: (queue: string, count: number) => void;
  /** Served here. */
  readonly queues: readonly string[];
  readonly onError: (error: Error) => void;
  readonly tuning?: ReconcilerTuning | undefined;
}

/**
 * Finds dispatched rows that Redis no longer knows, and gives them back to the relay: the whole outbox when Redis has
 * lost its data or may have, else a stretch at a time, for what went missing in ways nobody thought of. What Redis knows
 * by its record alone, but has on no list, is put back there.
 */
export class Reconciler {
  private cursor: Cursor | undefined;
  /** Walks over the whole outbox in one life of Redis. */
  private wholeWalks = { life: '', count: 0 };
  /** This process has seen a life that was compared: a Redis that knows of none after that has been emptied. */
  private hasSeenCompared = false;
  private readonly strays: StrayJobs;
  private routineAt = performance.now();
  private readonly routineMs: number;
  private readonly page: number;
  private readonly task: PeriodicTask;

  constructor(private readonly options: ReconcilerOptions) {
    const { tuning, onError, redis, isRunning, onRestored } = options;
    this.strays = new StrayJobs({ redis, isRunning, onRestored });
    this.routineMs = tuning?.routineMs ?? ROUTINE_MS;
    this.page = tuning?.page ?? PAGE;
    this.task = new PeriodicTask({ everyMs: tuning?.compareMs ?? EVERY_MS, work: () => this.pass(), onError });
  }

  start(): void {
    this.task.start();
  }

  /** Redis is back, perhaps without its data. */
  trigger(): void {
    this.task.trigger();
  }

  stop(): Promise<void> {
    return this.task.stop();
  }

  private async pass(): Promise<number | undefined> {
    const { redis } = this.options;
    if (!redis.isReady || !(await this.options.mayDispatch())) return undefined;
    const life = await currentRun(redis);
    if (life.compared) {
      this.hasSeenCompared = true;
      if (performance.now() - this.routineAt >= this.routineMs) {
        this.routineAt = performance.now();
        await this.walk(ROUTINE_PAGES);
        await this.lookForStrays();
      }
      return undefined;
    }
    if (life.first && this.hasSeenCompared) this.options.onEmptied();
    this.hasSeenCompared = false;
    this.cursor = undefined;
    await this.options.onNewLife();
    await this.walk(Number.POSITIVE_INFINITY);
    await this.lookForStrays();
    const ofLife = `${life.runId} ${life.id}`;
    const before = this.wholeWalks.life === ofLife ? this.wholeWalks.count : 0;
    this.wholeWalks = { life: ofLife, count: before + 1 };
    if (this.wholeWalks.count >= WHOLE_WALKS) this.hasSeenCompared = await markCompared(redis, life);
    return undefined;
  }

  private async lookForStrays(): Promise<void> {
    const { redis, queues } = this.options;
    await this.strays.check([...new Set([...queues, ...(await queueNames(redis))])]);
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
    const inState = (state: string) => rows.filter((_, index) => known[index] === state).map((row) => row.id);
    const ended = inState('ended');
    if (ended.length > 0) await deleteRows(knex, ended);
    const unknown = inState('unknown').filter((id) => !isRunning(id));
    const lost = unknown.length > 0 ? await redispatch(knex, unknown) : 0;
    if (lost > 0) onLost(lost);
  }
}

/** What Redis knows of an id: it has the job, or its end that the completer will deal with; its end alone; nothing. */
export type KnownState = 'known' | 'ended' | 'unknown';

// KEYS  queue prefixes
// ARGV  id, number of its queue for each
// reply one letter an id: k, e, u
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for a = 1, #ARGV, 2 do
  local id, p = ARGV[a], KEYS[tonumber(ARGV[a + 1])]
  if call('hexists', p..'jobs', id) == 1 or call('zscore', p..'finished', id) then out[#out + 1] = 'k'
  elseif call('zscore', p..'recent', id) then out[#out + 1] = 'e'
  else out[#out + 1] = 'u' end
end
return table.concat(out)`);

const STATES: Readonly<Record<string, KnownState>> = { k: 'known', e: 'ended', u: 'unknown' };

/** One script call for a page of outbox rows. @returns a state for each. */
export async function whatRedisKnows(
  client: RedisClient,
  rows: readonly { readonly id: string; readonly queue: string }[],
): Promise<KnownState[]> {
  const queues = [...new Set(rows.map((row) => row.queue))];
  const args = rows.flatMap((row) => [row.id, String(queues.indexOf(row.queue) + 1)]);
  const reply = await SCRIPT.run(client, queues.map(keyPrefix), args);
  return Array.from(String(reply), (letter) => STATES[letter] ?? 'known');
}

/** Holds the run id of the Redis process whose data has been compared with the outbox. */
const KEY = 'catamount:reconciled-run';
/** Holds a random id as long as its data has not been compared: one that is emptied meanwhile has another afterwards. */
const BEGUN_KEY = 'catamount:reconciled-run:begun';
const ANSWER_MS = 5000;

/** The life of a Redis: one process with its data. Over when it restarts, perhaps from an older copy, or is emptied. */
export interface RedisRun {
  readonly runId: string;
  /** Of this life alone, until it has been compared. */
  readonly id: string;
  /** Whether this life has been compared already, by any process. */
  readonly compared: boolean;
  /** Whether this Redis knows of no earlier life: it is new, or has been emptied. */
  readonly first: boolean;
}

// KEYS  1 the compared one, 2 the begun one
// ARGV  1 run id, 2 a random id
// reply "" when it has been compared, or its id; 1 when no life was compared before
const LOOK = new RedisScript(`
local call = redis.call
local compared = call('get', KEYS[1])
if compared == ARGV[1] then return {'', 0} end
call('setnx', KEYS[2], ARGV[2])
return {call('get', KEYS[2]), compared and 0 or 1}`);

// KEYS  as above
// ARGV  1 run id, 2 its id
// reply 1 when it still is the same life
const MARK = new RedisScript(`
local call = redis.call
if call('get', KEYS[2]) ~= ARGV[2] then return 0 end
call('set', KEYS[1], ARGV[1]); call('del', KEYS[2])
return 1`);

export async function currentRun(client: RedisClient): Promise<RedisRun> {
  const info = await answerWithin(ANSWER_MS, client.info('server'));
  const runId = /run_id:(\w+)/.exec(info)?.[1] ?? 'unknown';
  const reply = (await LOOK.run(client, [KEY, BEGUN_KEY], [runId, randomUUID()])) as readonly [string, number];
  const [begun, first] = reply;
  return { runId, id: begun, compared: begun === '', first: first === 1 };
}

/** @returns false, with nothing done, when Redis has been emptied since its life was looked at, or another was first. */
export async function markCompared(client: RedisClient, { runId, id }: RedisRun): Promise<boolean> {
  return (await MARK.run(client, [KEY, BEGUN_KEY], [runId, id])) === 1;
}
