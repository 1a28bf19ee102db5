import type { TreeStatus } from '../cluster/status';
import type { RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { compareText } from '../support/text';
import { isObject, isText, isTexts } from '../support/type-guards';
import { newCommand, TREE_PREFIX, TREES, type TreeCommand, treeCommandsKey, WATCHED } from './tree-commands';

/** A tree without a heartbeat for this long is not listed, ms. */
const LISTED_MS = 30_000;
const KEPT_MS = 600_000;
/** Time for which a command waits for its tree, s. */
const COMMAND_TTL_S = 60;
/** Time for which one call of `list` counts as watching, s. */
const LOOKED_S = 10;

/** A tree with its last reported status. */
export interface ListedTree {
  readonly picture: TreeStatus;
  /** Time since its last heartbeat, ms. Above some seconds it is cut off or dead. */
  readonly heartbeatAgeMs: number;
}

// KEYS  1 trees, 2 watched
// ARGV  1 prefix of the trees' keys, 2 maximum heartbeat age to be listed, 3 to be kept (ms), 4 TTL of "watched" (s)
// reply heartbeat age (ms) and status of each tree
const LIST = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('set', KEYS[2], 1, 'EX', ARGV[4])
call('zremrangebyscore', KEYS[1], '-inf', now - ARGV[3])
local out, found = {}, call('zrangebyscore', KEYS[1], now - ARGV[2], '+inf', 'WITHSCORES')
for i = 1, #found, 2 do
  local picture = call('get', ARGV[1]..found[i])
  if picture then out[#out + 1] = math.max(0, now - found[i + 1]); out[#out + 1] = picture end
end
return out`);

// KEYS  1 trees, 2 the commands of one   ARGV 1 its id, 2 the command, 3 time that it waits, s
const TELL = new RedisScript(`
if not redis.call('zscore', KEYS[1], ARGV[1]) then return 0 end
redis.call('rpush', KEYS[2], ARGV[2])
return redis.call('expire', KEYS[2], ARGV[3])`);

/** Every tree that shares this Redis. Any process may use it: it only reads, and sends commands. */
export class TreeDirectory {
  constructor(private readonly redis: RedisClient) {}

  /**
   * The trees by name. While this is called, the trees report their status every two seconds instead of every ten.
   * @throws Error when Redis does not answer.
   */
  async list(): Promise<ListedTree[]> {
    const args = [TREE_PREFIX, LISTED_MS, KEPT_MS, LOOKED_S].map(String);
    const reply = (await LIST.run(this.redis, [TREES, WATCHED], args)) as (number | string)[];
    const listed: ListedTree[] = [];
    for (let i = 0; i < reply.length; i += 2) {
      const picture = readPicture(String(reply[i + 1]));
      if (picture) listed.push({ picture, heartbeatAgeMs: Number(reply[i]) });
    }
    return listed.sort(
      (a, b) => compareText(a.picture.name, b.picture.name) || compareText(a.picture.id, b.picture.id),
    );
  }

  /**
   * Sends a command to one tree, which fetches its commands every second. It is void after a minute.
   * @returns false when no such tree is known. @throws Error when Redis does not answer.
   */
  async send(id: string, command: TreeCommand, argument: number, by: string): Promise<boolean> {
    const pending = JSON.stringify(newCommand(command, argument, by));
    return (await TELL.run(this.redis, [TREES, treeCommandsKey(id)], [id, pending, String(COMMAND_TTL_S)])) === 1;
  }
}

/** @returns undefined for a status that this version cannot read. */
function readPicture(text: string): TreeStatus | undefined {
  try {
    const picture = JSON.parse(text) as TreeStatus;
    return isPicture(picture) ? picture : undefined;
  } catch {
    return undefined;
  }
}

const isEmpty = (value: unknown) => isObject(value) && Object.keys(value).length === 0;
const isObjects = (value: unknown) => Array.isArray(value) && value.every(isObject);

function isPicture({
  id,
  name,
  place,
  at,
  stats,
  limits,
  slots,
  rates,
  vitals,
  processor,
  events,
}: TreeStatus): boolean {
  // A worker that has just been forked has reported no status yet; its tree is listed all the same.
  const told = stats.workerStatus.map(({ lastStatus }) => lastStatus).filter((status) => !isEmpty(status));
  const lists = [slots, events, stats.workerStatus, ...told.map((status) => status.inFlight)];
  const parts = [rates, vitals, processor, stats.memory, stats.totals, stats.jobProcessor, stats.versions];
  return (
    [id, name, place, at].every(isText) && isTexts(limits.queues) && lists.every(isObjects) && parts.every(isObject)
  );
}
