import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { Redis } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { raiseDelayedScript } from '../../internals/bee-queue';
import { lazy } from '../../support/lazy';
import { PeriodicTask } from '../../support/periodic-task';
import { type Limits, limitKey } from '../definition/limits';
import { storable } from '../record/history';
import { readPayload } from '../record/payload';
import { insertJobs } from '../row/insert';
import type { Hint } from './hint-reader';
import { queueKey } from './keys';

/** Interval of the looks for delayed jobs, ms, unless a producer announces one. */
const LOOK_MS = 120_000;

/** A job that has been in no list for this long was popped by a process that has died before it could give it a row, ms. */
const ORPHANED_MS = 10_000;
/** Maximum length of `waiting` at which orphans are looked for, and records to look at: so the script stays short. */
const MAX_WAITING = 1000;
const RECORDS = 500;

// KEYS  `jobs`, `waiting`, `delayed`   ARGV cursor of the search, ids of orphans that go back to `waiting` unless they have gone
// reply the next cursor, ids of orphans
const FIND_ORPHANS = new RedisScript(`
local call, listed, reply = redis.call, {}, { ARGV[1] }
if call('hlen', KEYS[1]) == 0 or call('llen', KEYS[2]) > ${MAX_WAITING} then return reply end
for _, id in ipairs(call('lrange', KEYS[2], 0, -1)) do listed[id] = true end
local function is_orphan(id) return not listed[id] and not call('zscore', KEYS[3], id) end
for n = 2, #ARGV do
  local id = ARGV[n]
  if is_orphan(id) and call('hexists', KEYS[1], id) == 1 then
    call('rpush', KEYS[2], id)
    listed[id] = true
  end
end
local found = call('hscan', KEYS[1], ARGV[1], 'count', ${RECORDS})
reply[1] = found[1]
for n = 1, #found[2], 2 do if is_orphan(found[2][n]) then reply[#reply + 1] = found[2][n] end end
return reply`);

export interface PlainProducersOptions {
  readonly knex: Knex;
  readonly redis: Redis;
  readonly queues: readonly string[];
  readonly limits: Limits;
  /** Has held jobs of these keys run. */
  readonly admit: (keys: readonly string[]) => void;
  /** Called when delayed jobs have become due. */
  readonly onDue: () => void;
  readonly onError: (error: Error) => void;
  /** How long a job must have been in no list to count as popped in vain, ms. Default 10,000. */
  readonly orphanedMs?: number | undefined;
}

/** Where the search for orphans of a queue is. */
interface OrphanSearch {
  readonly cursor: string;
  /** When each was found first, ms on the monotonic clock. */
  readonly foundAt: ReadonlyMap<string, number>;
}

/**
 * Serves programs that enqueue with bee-queue itself, into the same queues. Each of their jobs gets a row, and is then one of
 * ours.
 */
export class PlainProducers {
  readonly task: PeriodicTask;
  private readonly searches = new Map<string, OrphanSearch>();
  private readonly raise = lazy(async () => new RedisScript(await raiseDelayedScript()));

  constructor(private readonly options: PlainProducersOptions) {
    // The loss of Redis is reported by its connection.
    const onError = (error: Error) => options.redis.client.isReady && options.onError(error);
    this.task = new PeriodicTask({ everyMs: LOOK_MS, work: () => this.look(), onError });
  }

  start(): void {
    const { redis, queues } = this.options;
    for (const queue of queues)
      redis.listen(
        queueKey(queue, 'earlierDelayed'),
        (at) => this.task.triggerIn(Math.max(0, Math.min(LOOK_MS, Number(at) - Date.now()))),
        () => this.task.trigger(),
      );
    this.task.start();
  }

  /** Gives jobs rows, unless they have one already. @returns the ids of those that are ready. */
  async adopt(hints: readonly Hint[]): Promise<readonly string[]> {
    const { knex, redis } = this.options;
    let rows = hints.map((hint) => this.toRow(hint));
    try {
      await insertJobs(knex, rows);
    } catch (thrown) {
      if (!isUnstorable(thrown)) throw thrown;
      // One job cannot be stored. So each gets a row by itself, and the faulty one a row with the beginning of its text.
      rows = await Promise.all(hints.map((hint) => this.insertAlone(hint)));
    }
    for (const queue of new Set(hints.map((hint) => hint.queue))) {
      const ids = hints.filter((hint) => hint.queue === queue).map(({ id }) => id);
      await redis.client.hDel(queueKey(queue, 'jobs'), ids);
    }
    this.options.admit(rows.flatMap((row) => row.limitKey ?? []));
    return rows.flatMap((row) => (row.limitKey === undefined ? [row.id] : []));
  }

  private async insertAlone(hint: Hint) {
    const row = this.toRow(hint);
    try {
      await insertJobs(this.options.knex, [row]);
      return row;
    } catch (thrown) {
      if (!isUnstorable(thrown)) throw thrown;
      const rest = {
        ...row,
        class: 'unreadable',
        tags: [],
        payload: JSON.stringify({ record: hint.record?.slice(0, 1000) }),
        limitKey: undefined,
      };
      await insertJobs(this.options.knex, [rest]);
      return rest;
    }
  }

  private toRow({ queue, id: given, record = '' }: Hint) {
    const id = deriveId(queue, given, record);
    // Whatever cannot be read becomes a job that dies with the reason.
    const { class: name, tags, payload, args } = readRecord(record);
    return { id, queue, class: name, payload, tags, runAt: undefined, limitKey: this.findKey(name, args) };
  }

  /** Arguments that the class's key function cannot read give the job a key of its own kind: its run will say what is wrong. */
  private findKey(name: string, args: readonly unknown[]): string | undefined {
    const rule = this.options.limits.get(name);
    try {
      return rule && limitKey(rule, name, args);
    } catch {
      return name;
    }
  }

  /** @returns ms until the next delayed job is due. */
  private async look(): Promise<number | undefined> {
    const { redis, queues, onDue } = this.options;
    const { client } = redis;
    if (!client.isReady) return undefined;
    let nextAt = Number.POSITIVE_INFINITY;
    let raised = 0;
    for (const queue of queues) {
      const script = await this.raise();
      const keys = [queueKey(queue, 'delayed'), queueKey(queue, 'waiting')];
      const [count, next] = (await script.run(client, keys, [String(Date.now()), '0'])) as [number, string | number];
      raised += Number(count);
      if (Number(next) > 0) nextAt = Math.min(nextAt, Number(next));
      if ((await this.putBackOrphans(queue)) > 0) nextAt = Math.min(nextAt, Date.now() + this.orphanedMs);
    }
    if (raised > 0) onDue();
    return Math.max(1, nextAt - Date.now());
  }

  private get orphanedMs(): number {
    return this.options.orphanedMs ?? ORPHANED_MS;
  }

  /** Puts the jobs back that were popped in vain. @returns how many may be such jobs. */
  private async putBackOrphans(queue: string): Promise<number> {
    const { cursor = '0', foundAt = new Map<string, number>() } = this.searches.get(queue) ?? {};
    const now = performance.now();
    const isOld = (id: string) => now - (foundAt.get(id) ?? now) >= this.orphanedMs;
    const keys = (['jobs', 'waiting', 'delayed'] as const).map((key) => queueKey(queue, key));
    const old = [...foundAt.keys()].filter(isOld);
    const [next = '0', ...orphans] = (
      (await FIND_ORPHANS.run(this.options.redis.client, keys, [cursor, ...old])) as (string | number)[]
    ).map(String);
    const kept = [...foundAt].filter(([id]) => !isOld(id));
    this.searches.set(queue, { cursor: next, foundAt: new Map([...orphans.map((id) => [id, now] as const), ...kept]) });
    return kept.length + orphans.length;
  }
}

/** @returns the same id for the same job, so that one that is popped twice gets one row. */
function deriveId(queue: string, id: string, record: string): string {
  const hex = createHash('sha256').update(`${queue}\n${id}\n${record}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}

/** @returns what goes into the row of a job in bee-queue's form: `{"data":{"class":"GreetJob","args":["Ann"]},"options":{…}}`. */
function readRecord(record: string): {
  readonly class: string;
  readonly tags: readonly string[];
  readonly payload: string;
  readonly args: readonly unknown[];
} {
  try {
    const { data, options } = JSON.parse(record) as { data?: unknown; options?: { timestamp?: unknown } };
    const payload = typeof data === 'object' && data !== null ? { enqueuedAt: options?.timestamp, ...data } : { data };
    // A newer format is kept for newer code.
    const { class: name, tags = [], args } = readPayload(payload, Number.POSITIVE_INFINITY);
    return { class: storable(name), tags: tags.map(storable), payload: JSON.stringify(payload), args };
  } catch {
    return { class: 'unreadable', tags: [], payload: JSON.stringify({ record }), args: [] };
  }
}

/** @returns true when Postgres refuses the data themselves: text or JSON that it cannot store, or that is nested too deeply. */
function isUnstorable(thrown: unknown): boolean {
  return /^(22|54)/.test(String((thrown as { readonly code?: unknown }).code));
}
