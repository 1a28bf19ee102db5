import type { RedisClient } from '../../core/redis';
import type { JsonValue } from '../record/json';
import { type Payload, readPayload } from '../record/payload';
import { readRecord, revivedRecord } from '../record/record';
import { keyPrefix, queueKey } from '../redis/keys';
import { answerWithin, RedisScript } from '../redis/redis-script';

const ANSWER_MS = 5000;

export interface DeadJob {
  readonly id: string;
  readonly queue: string;
  /** Name of the class; undefined when the record is unreadable. */
  readonly class: string | undefined;
  readonly args: readonly JsonValue[];
  readonly diedAt: Date;
  readonly reason: string;
  readonly attempts: number;
  /** Newest first, each with its stack. */
  readonly errors: readonly string[];
}

// Whoever takes the id out of `dead` has the job: a second click finds nothing.
// KEYS 1 queue prefix   ARGV 1 id, 2 new record
const RETRY = new RedisScript(`
local p, id = KEYS[1], ARGV[1]
if redis.call('zrem', p..'dead', id) == 0 then return 0 end
redis.call('srem', p..'failed', id); redis.call('hdel', p..'deliveries', id)
redis.call('hset', p..'jobs', id, ARGV[2]); redis.call('lpush', p..'waiting', id)
return 1`);

// KEYS 1 queue prefix   ARGV 1 id
const DELETE = new RedisScript(`
local p, id = KEYS[1], ARGV[1]
if redis.call('zrem', p..'dead', id) == 0 then return 0 end
redis.call('srem', p..'failed', id); redis.call('hdel', p..'jobs', id)
return 1`);

/** The dead jobs of one queue: those that will not run again by themselves. At most 10,000, for at most 180 days. */
export class DeadSet {
  constructor(
    private readonly redis: RedisClient,
    readonly queue: string,
  ) {}

  async size(): Promise<number> {
    return answerWithin(ANSWER_MS, this.redis.zCard(queueKey(this.queue, 'dead')));
  }

  /** Newest first. */
  async list({
    offset = 0,
    limit = 25,
  }: {
    readonly offset?: number;
    readonly limit?: number;
  } = {}): Promise<DeadJob[]> {
    if (limit <= 0) return [];
    const key = queueKey(this.queue, 'dead');
    const range = this.redis.zRangeWithScores(key, offset, offset + limit - 1, { REV: true });
    const dead = await answerWithin(ANSWER_MS, range);
    if (dead.length === 0) return [];
    const ids = dead.map(({ value }) => value);
    const records = await answerWithin(ANSWER_MS, this.redis.hmGet(queueKey(this.queue, 'jobs'), ids));
    // A record that is missing was deleted between the two.
    return dead.flatMap(({ value, score }, index) => {
      const text = records[index];
      return typeof text === 'string' ? [this.describe(value, score, text)] : [];
    });
  }

  /** Queues a dead job again, with all its attempts anew. @returns false when it is not, or no longer, dead. */
  async retry(id: string): Promise<boolean> {
    const record = await answerWithin(ANSWER_MS, this.redis.hGet(queueKey(this.queue, 'jobs'), id));
    if (typeof record !== 'string') return false;
    return (await RETRY.run(this.redis, [keyPrefix(this.queue)], [id, revived(record)])) === 1;
  }

  /** Forgets a dead job. @returns false when it is not, or no longer, dead. */
  async delete(id: string): Promise<boolean> {
    return (await DELETE.run(this.redis, [keyPrefix(this.queue)], [id])) === 1;
  }

  private describe(id: string, score: number, text: string): DeadJob {
    const common = { id, queue: this.queue, diedAt: new Date(score) };
    try {
      const record = readRecord(text);
      const { attempts = 0, stacktraces = [], reason = '' } = record.options;
      const payload = payloadOf(record.data);
      return { ...common, class: payload?.class, args: payload?.args ?? [], reason, attempts, errors: stacktraces };
    } catch {
      return { ...common, class: undefined, args: [], reason: 'the record is unreadable', attempts: 0, errors: [] };
    }
  }
}

function payloadOf(data: unknown): Payload | undefined {
  try {
    return readPayload(data);
  } catch {
    return undefined;
  }
}

/** What cannot be read goes back as it is, to be buried again. */
function revived(text: string): string {
  try {
    return JSON.stringify(revivedRecord(readRecord(text)));
  } catch {
    return text;
  }
}
