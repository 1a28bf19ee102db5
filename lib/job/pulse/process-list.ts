import { randomBytes } from 'node:crypto';
import { UserError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { byText } from '../../support/text-order';
import { RedisScript } from '../redis/redis-script';
import type { Audit } from '../set/sources';
import { isProcessOrder, PROCESS_ORDERS, type ProcessInfo, type ProcessOrder, readProcessInfo } from './process-info';
import { ordersKey, PROCESS_PREFIX, PROCESSES } from './process-keys';

/** Who has been silent for this long is not listed, ms. */
const LISTED_MS = 30_000;
/** Until then a silent one stays in Redis, so that others can take its jobs over, ms. */
const KEPT_MS = 600_000;
/** How long an order waits for its processor, s. */
const ORDER_TTL_S = 60;

/** A job processor, as it was at its last beat. */
export interface ListedProcess extends ProcessInfo {
  /** How long ago it last showed that it lives, ms. Above some 2000 it is blocked, cut off or dead. */
  readonly silentMs: number;
}

// KEYS  1 processes
// ARGV  1 prefix of their keys, 2 who was silent for this long is not listed, 3 nor kept (ms)
// reply silence (ms), what it told of itself, for each
const LIST = new RedisScript(`
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('zremrangebyscore', KEYS[1], '-inf', now - ARGV[3])
local out, found = {}, redis.call('zrangebyscore', KEYS[1], now - ARGV[2], '+inf', 'WITHSCORES')
for i = 1, #found, 2 do
  local info = redis.call('get', ARGV[1]..found[i])
  if info then out[#out + 1] = math.max(0, now - found[i + 1]); out[#out + 1] = info end
end
return out`);

// KEYS  1 processes, 2 the orders of one   ARGV 1 its identity, 2 the order, 3 how long it waits, s
const TELL = new RedisScript(`
if not redis.call('zscore', KEYS[1], ARGV[1]) then return 0 end
redis.call('rpush', KEYS[2], ARGV[2])
return redis.call('expire', KEYS[2], ARGV[3])`);

/** Every job processor of every tree that shares this Redis. For any process: it only reads, and leaves orders. */
export class ProcessList {
  /** @param audit where its orders are told. Default: nowhere. */
  constructor(
    private readonly redis: RedisClient,
    private readonly audit?: Audit,
  ) {}

  /** By tree, then by age. @throws when Redis does not answer. */
  async list(): Promise<ListedProcess[]> {
    const args = [PROCESS_PREFIX, String(LISTED_MS), String(KEPT_MS)];
    const reply = (await LIST.run(this.redis, [PROCESSES], args)) as (number | string)[];
    const listed: ListedProcess[] = [];
    for (let i = 0; i < reply.length; i += 2) {
      const info = readProcessInfo(String(reply[i + 1]));
      if (info) listed.push({ ...info, silentMs: Number(reply[i]) });
    }
    return listed.sort((a, b) => byText(a.tree, b.tree) || a.startedAt - b.startedAt);
  }

  /**
   * Leaves an order for one processor, which looks for them every second: `quiet` (take no more jobs), `resume` (take
   * jobs again) or `stop` (finish, end, and stay away until it is resumed or restarted on its own machine). An order that
   * is not fetched within a minute is void.
   * @returns false when no such processor is listed.
   * @throws UserError for another order; Error when Redis does not answer.
   */
  async tell(identity: string, order: ProcessOrder): Promise<boolean> {
    if (!isProcessOrder(order)) {
      throw new UserError(`"${order}" is no order for a job processor; use ${PROCESS_ORDERS.join(', ')}.`);
    }
    const text = `${order} ${randomBytes(6).toString('hex')}`;
    const told = await TELL.run(this.redis, [PROCESSES, ordersKey(identity)], [identity, text, String(ORDER_TTL_S)]);
    if (told !== 1) return false;
    this.audit?.events.emit('operator.process', { order, process: identity, via: this.audit.via });
    return true;
  }
}
