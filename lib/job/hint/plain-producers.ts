import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { Redis } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { raiseDelayedScript } from '../../internals/bee-queue';
import { lazy } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { storable } from '../record/history';
import { readPayload } from '../record/payload';
import { insertJobs } from '../row/insert';
import type { Hint } from './hint-reader';
import { queueKey } from './keys';

/** Interval of the looks for delayed jobs, ms, unless a producer announces one. */
const LOOK_MS = 120_000;

// A job that is in `active` twice in a row was popped by a process that has died before it could give it a row.
// KEYS  `active`, `waiting`   ARGV ids that were there the last time
// reply the ids that are there
const PUT_BACK = new RedisScript(`
local call = redis.call
for _, id in ipairs(ARGV) do
  if call('lrem', KEYS[1], 1, id) == 1 then call('rpush', KEYS[2], id) end
end
return call('lrange', KEYS[1], 0, 99)`);

// KEYS  `active`, `jobs`   ARGV ids that have rows now
const FORGET = new RedisScript(`
for _, id in ipairs(ARGV) do redis.call('lrem', KEYS[1], 1, id); redis.call('hdel', KEYS[2], id) end`);

export interface PlainProducersOptions {
  readonly knex: Knex;
  readonly redis: Redis;
  readonly queues: readonly string[];
  /** @returns the name of the limit of a class; undefined when it has none. */
  readonly findLimit: (className: string) => string | undefined;
  /** Called when delayed jobs have become due. */
  readonly onDue: () => void;
  readonly onError: (error: Error) => void;
}

/** Serves programs that enqueue with bee-queue itself, into the same queues: each of their jobs gets a row, and is then one of ours. */
export class PlainProducers {
  readonly task: PeriodicTask;
  private readonly left = new Map<string, readonly string[]>();
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
      // One of them is to blame: each gets a row by itself, and that one the beginning of its text.
      rows = await Promise.all(hints.map((hint) => this.insertAlone(hint)));
    }
    for (const queue of new Set(hints.map((hint) => hint.queue))) {
      const ids = hints.filter((hint) => hint.queue === queue).map(({ id }) => id);
      await FORGET.run(redis.client, [queueKey(queue, 'active'), queueKey(queue, 'jobs')], ids);
    }
    return rows.map(({ id }) => id);
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
      };
      await insertJobs(this.options.knex, [rest]);
      return rest;
    }
  }

  private toRow({ queue, id: given, record = '' }: Hint) {
    const id = deriveId(queue, given, record);
    // Whatever cannot be read becomes a job that dies with the reason.
    const { class: name, tags, payload } = readRecord(record);
    return { id, queue, class: name, payload, tags, runAt: undefined, limitKey: this.options.findLimit(name) };
  }

  /** @returns ms until the next delayed job is due. */
  private async look(): Promise<number | undefined> {
    const { redis, queues, onDue } = this.options;
    const { client } = redis;
    if (!client.isReady) return undefined;
    const now = Date.now();
    let nextAt = Number.POSITIVE_INFINITY;
    let raised = 0;
    for (const queue of queues) {
      const [active, waiting, delayed] = (['active', 'waiting', 'delayed'] as const).map((key) => queueKey(queue, key));
      if (active === undefined || waiting === undefined || delayed === undefined) continue;
      const script = await this.raise();
      const [count, next] = (await script.run(client, [delayed, waiting], [String(now), '0'])) as [
        number,
        string | number,
      ];
      raised += Number(count);
      if (Number(next) > 0) nextAt = Math.min(nextAt, Number(next));
      const left = (await PUT_BACK.run(client, [active, waiting], [...(this.left.get(queue) ?? [])])) as string[];
      this.left.set(queue, left);
    }
    if (raised > 0) onDue();
    return Math.max(1, nextAt - Date.now());
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
} {
  try {
    const { data, options } = JSON.parse(record) as { data?: unknown; options?: { timestamp?: unknown } };
    const payload = typeof data === 'object' && data !== null ? { enqueuedAt: options?.timestamp, ...data } : { data };
    // A newer format is kept for newer code.
    const { class: name, tags = [] } = readPayload(payload, Number.POSITIVE_INFINITY);
    return { class: storable(name), tags: tags.map(storable), payload: JSON.stringify(payload) };
  } catch {
    return { class: 'unreadable', tags: [], payload: JSON.stringify({ record }) };
  }
}

/** @returns true when Postgres refuses the data themselves: text or JSON that it cannot store, or that is nested too deeply. */
function isUnstorable(thrown: unknown): boolean {
  return /^(22|54)/.test(String((thrown as { readonly code?: unknown }).code));
}
