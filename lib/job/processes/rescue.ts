import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { commandsKey, keyPrefix, PROCESSES, processKey } from '../queue/keys';
import { readProcessInfo } from './process-list';

// KEYS  1 processes, 2 the dead process, 3 its commands, 4… queue prefixes ("bq:default:")
// ARGV  1 its identity  2 0, or the time for which it must have been unresponsive, ms; then only the first call rescues
// reply false, or queue number, id for each job that was returned
// The delivery stays counted, since the job may have killed the process. Its fence stays, too: the process may only
// have been blocked, and its outcome counts if it comes before the next delivery.
const SCRIPT = new RedisScript(`
local call, out = redis.call, {}
local tokens, limit = ':'..ARGV[1]..'.', tonumber(ARGV[2])
if limit > 0 then
  local time, heartbeat = call('time'), call('zscore', KEYS[1], ARGV[1])
  if not heartbeat or time[1] * 1000 + time[2] / 1000 - heartbeat < limit then return false end
end
call('zrem', KEYS[1], ARGV[1]); call('del', KEYS[2], KEYS[3])
for q = 4, #KEYS do
  local p = KEYS[q]
  for _, id in ipairs(call('lrange', p..'active', 0, -1)) do
    local d = call('hget', p..'deliveries', id)
    if d and d:find(tokens, 1, true) then
      call('lrem', p..'active', 1, id); call('srem', p..'stalling', id)
      call('rpush', p..'waiting', id)
      out[#out + 1] = q - 3; out[#out + 1] = id
    end
  end
end
return out`);

export interface RescuedJob {
  readonly id: string;
  readonly queue: string;
}

/**
 * Returns the jobs of a dead process to the heads of their queues at once, where bee-queue's stall check would wait for
 * its interval, and removes the process from the list. The heartbeat of a processor calls it: for those that the
 * primary has seen die (`cluster/primary/processor`), and for those whose own heartbeats have ceased. `deliveries`
 * keeps the number of lost deliveries: `FETCH_SCRIPT` has the last permitted one run alone, and after `MAX_DELIVERIES`
 * of them `Executor.perform` does not run the job but makes it dead (`Executor.poisoned`).
 * @param unresponsiveMs ms without heartbeats that the rescue requires; 0 for a process that is known to be dead.
 * @returns the rescued jobs; undefined when it is not unresponsive, or another process has rescued them.
 */
export async function rescueOrphans(
  client: RedisClient,
  identity: string,
  queues: readonly string[],
  unresponsiveMs = 0,
): Promise<readonly RescuedJob[] | undefined> {
  const keys = [PROCESSES, processKey(identity), commandsKey(identity), ...queues.map(keyPrefix)];
  const reply = (await SCRIPT.run(client, keys, [identity, String(unresponsiveMs)])) as unknown[] | null;
  if (reply === null) return undefined;
  const jobs: RescuedJob[] = [];
  for (let i = 0; i < reply.length; i += 2) {
    jobs.push({ queue: queues[Number(reply[i]) - 1] ?? '', id: String(reply[i + 1]) });
  }
  return jobs;
}

/** Rescues the jobs of a processor that has sent no heartbeat for this long, ms, unless another does, and reports it. */
export async function rescueFromUnresponsive(
  identity: string,
  unresponsiveMs: number,
  options: {
    readonly redis: { readonly client: RedisClient };
    readonly events: Events;
    /** The queues that this process serves. */
    readonly queues: readonly string[];
  },
): Promise<void> {
  const { redis, queues, events } = options;
  const info = readProcessInfo(await redis.client.get(processKey(identity)));
  const all = [...new Set([...queues, ...(info?.queues ?? [])])];
  const jobs = await rescueOrphans(redis.client, identity, all, unresponsiveMs);
  if (!jobs) return;
  const { host = 'unknown', pid = 0 } = info ?? {};
  events.emit('processor.rescued', { identity, host, pid, heartbeatAgeMs: unresponsiveMs, jobs: jobs.length });
  for (const job of jobs) events.emit('job.rescued', job);
}
