import type { Events } from '../../core/events';
import { HeartbeatRegistry, type HeartbeatReply } from '../../core/heartbeat-registry';
import type { Redis, RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import type { Deadline } from '../../support/async';
import { toError } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { commandsKey, keyPrefix, PROCESSES, processKey } from '../queue/keys';
import {
  isProcessorCommand,
  PROCESS_KEYS,
  type ProcessInfo,
  type ProcessorCommand,
  readProcessInfo,
} from './process-list';

export const INFO_INTERVAL_MS = 5000;
/** TTL of a processor's status after its last heartbeat, s. */
const TTL_S = 30;
/** After more missed heartbeats of its own a processor cannot judge others, since Redis may have been away. */
const MAX_MISSED_HEARTBEATS = 3;

export interface HeartbeatTuning {
  /** Interval of heartbeats, which also fetch commands, ms. Default 1000. */
  readonly heartbeatMs?: number | undefined;
  /** Interval at which it reports its status, checks its queues and flushes its statistics, ms. Default 5000. */
  readonly infoMs?: number | undefined;
  /** Time without heartbeats after which a processor's jobs are rescued, ms. Default 25,000. */
  readonly unresponsiveMs?: number | undefined;
}

export interface HeartbeatOptions extends HeartbeatTuning {
  readonly redis: Redis;
  readonly events: Events;
  readonly identity: string;
  /** The queues that it serves. */
  readonly queues: readonly string[];
  /** Identities of processors that are known to have ended. */
  readonly dead: readonly string[];
  /** @param redisMs duration of the last round trip, ms; null before the first. */
  readonly describe: (redisMs: number | null) => ProcessInfo;
  readonly onCommand: (command: ProcessorCommand) => void;
}

/**
 * Keeps a processor on the list of processes. Each second it sends a heartbeat and receives commands, every few seconds
 * it also reports its status, and it rescues the jobs of unresponsive processors. Heartbeats come from the event loop,
 * so a job that blocks it for `unresponsiveMs` runs a second time elsewhere.
 */
export class Heartbeat {
  private readonly task: PeriodicTask;
  private readonly infoEvery: number;
  private heartbeats = 0;
  private last: HeartbeatReply | undefined;
  private redisMs: number | null = null;
  private dead: readonly string[];
  /** Executed commands that Redis has not acknowledged yet. */
  private executed: readonly string[] = [];
  private unsubscribe: (() => void) | undefined;
  private readonly registry: HeartbeatRegistry;

  constructor(private readonly options: HeartbeatOptions) {
    const { events, redis, heartbeatMs = 1000, infoMs = INFO_INTERVAL_MS, dead } = options;
    this.dead = dead;
    this.registry = new HeartbeatRegistry(redis.client, PROCESS_KEYS);
    this.infoEvery = Math.max(1, Math.round(infoMs / heartbeatMs));
    this.task = new PeriodicTask({
      everyMs: heartbeatMs,
      work: () => this.pass(),
      onError: (error) => {
        // While Redis is away its connection reports that.
        if (redis.client.isReady) events.emit('queue.error', { error, during: 'the heartbeat of the job processor' });
      },
    });
  }

  start(): void {
    this.unsubscribe ??= this.options.events.on('redis.ready', () => this.task.trigger());
    this.task.start();
  }

  /** Reports the status at once, since it has changed. */
  trigger(): void {
    this.heartbeats = 0;
    this.task.trigger();
  }

  /** Rescues the jobs of a processor that is known to have ended. */
  rescueOrphans(identity: string): void {
    this.dead = [...this.dead, identity];
    this.task.trigger();
  }

  /** Leaves the list. Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    await deadline.wait(this.task.stop());
    const { client } = this.options.redis;
    if (client.isReady) await deadline.wait(this.registry.deregister(this.options.identity)).catch(() => undefined);
  }

  private async pass(): Promise<number | undefined> {
    const { redis, identity, describe, heartbeatMs = 1000, unresponsiveMs = 25_000 } = this.options;
    if (!redis.client.isReady) return undefined;
    // Rescues come before the heartbeat, so that nobody sees both processes. The heartbeat is sent even if they fail.
    const failure = await this.rescueFromDead().then(() => undefined, toError);
    const report = this.heartbeats % this.infoEvery === 0;
    const begun = performance.now();
    const reply = await this.registry.heartbeat(identity, {
      info: report ? JSON.stringify(describe(this.redisMs)) : undefined,
      ttlS: TTL_S,
      executed: this.executed,
      judging: { last: this.last, gapMs: MAX_MISSED_HEARTBEATS * heartbeatMs, unresponsiveMs },
    });
    const tookMs = performance.now() - begun;
    this.redisMs = Math.round(tookMs * 10) / 10;
    this.heartbeats++;
    this.last = reply;
    this.execute(reply.commands);
    if (failure) throw failure;
    for (const other of reply.unresponsive) await this.rescueFromUnresponsive(other, unresponsiveMs);
    // The round trip's time is subtracted, since jobs that block the event loop may leave it only moments in between.
    return Math.max(0, heartbeatMs - tookMs);
  }

  /** Executes new commands. A command stays in its list, and comes again, until Redis knows that it was executed. */
  private execute(commands: readonly string[]): void {
    const { events, onCommand } = this.options;
    const fresh = commands.filter((text) => !this.executed.includes(text));
    this.executed = commands;
    for (const text of fresh) {
      const [command = ''] = text.split(' ');
      if (!isProcessorCommand(command)) continue;
      events.emit('operator.command', { command: `jobs ${command}`, via: 'redis' });
      onCommand(command);
    }
  }

  private async rescueFromDead(): Promise<void> {
    const { redis, queues, events } = this.options;
    for (const identity of this.dead) {
      const jobs = (await rescueOrphans(redis.client, identity, queues)) ?? [];
      this.dead = this.dead.filter((other) => other !== identity);
      for (const job of jobs) events.emit('job.rescued', job);
    }
  }

  private async rescueFromUnresponsive(identity: string, unresponsiveMs: number): Promise<void> {
    const { redis, queues, events } = this.options;
    const info = readProcessInfo(await redis.client.get(processKey(identity)));
    const all = [...new Set([...queues, ...(info?.queues ?? [])])];
    const jobs = await rescueOrphans(redis.client, identity, all, unresponsiveMs);
    if (!jobs) return;
    const { host = 'unknown', pid = 0 } = info ?? {};
    events.emit('processor.rescued', { identity, host, pid, heartbeatAgeMs: unresponsiveMs, jobs: jobs.length });
    for (const job of jobs) events.emit('job.rescued', job);
  }
}

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

export interface TakenJob {
  readonly id: string;
  readonly queue: string;
}

/**
 * Returns the jobs of a dead process to the heads of their queues at once, while the stall check would wait for its
 * interval, and removes the process from the list.
 * @param unresponsiveMs ms without heartbeats that the rescue requires; 0 for a process that is known to be dead.
 * @returns the rescued jobs; undefined when it is not unresponsive, or another process has rescued them.
 */
export async function rescueOrphans(
  client: RedisClient,
  identity: string,
  queues: readonly string[],
  unresponsiveMs = 0,
): Promise<readonly TakenJob[] | undefined> {
  const keys = [PROCESSES, processKey(identity), commandsKey(identity), ...queues.map(keyPrefix)];
  const reply = (await SCRIPT.run(client, keys, [identity, String(unresponsiveMs)])) as unknown[] | null;
  if (reply === null) return undefined;
  const jobs: TakenJob[] = [];
  for (let i = 0; i < reply.length; i += 2) {
    jobs.push({ queue: queues[Number(reply[i]) - 1] ?? '', id: String(reply[i + 1]) });
  }
  return jobs;
}
