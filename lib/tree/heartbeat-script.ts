import type { RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { pictureKey, TREES, treeCommandsKey, WATCHED } from './tree-commands';

/** Time for which a tree's status is kept after its last heartbeat, s. */
const TTL_S = 60;

// KEYS  1 trees, 2 the tree's status, 3 its commands, 4 watched
// ARGV  1 its id, 2 time for which the status is kept (s), 3 the status or ''
// reply 1 when somebody watches, else 0; its commands
const HEARTBEAT_SCRIPT = new RedisScript(`
local call, time = redis.call, redis.call('time')
call('zadd', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
if ARGV[3] == '' then call('expire', KEYS[2], ARGV[2]) else call('set', KEYS[2], ARGV[3], 'EX', ARGV[2]) end
return {call('exists', KEYS[4]), call('lrange', KEYS[3], 0, -1)}`);

interface TreeHeartbeatReply {
  /** Somebody watches the trees, so statuses are wanted more often. */
  readonly looked: boolean;
  readonly commands: readonly string[];
}

/** Sends a tree's heartbeat, with its status unless `picture` is '', and returns the commands that wait for it. */
export async function sendTreeHeartbeat(client: RedisClient, id: string, picture: string): Promise<TreeHeartbeatReply> {
  const keys = [TREES, pictureKey(id), treeCommandsKey(id), WATCHED];
  const [looked, commands] = (await HEARTBEAT_SCRIPT.run(client, keys, [id, String(TTL_S), picture])) as [
    number,
    string[],
  ];
  return { looked: looked === 1, commands };
}

/** Removes a tree that has stopped. */
export async function leaveTrees(client: RedisClient, id: string): Promise<void> {
  await Promise.all([client.zRem(TREES, id), client.del([pictureKey(id), treeCommandsKey(id)])]);
}
