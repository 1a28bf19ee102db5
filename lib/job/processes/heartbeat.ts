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
/** How long what a processor told of itself stands after its last heartbeat, s. */
const TTL_S = 30;
/** A judge that has missed more heartbeats in a row than this cannot tell whether Redis was away. */
const MAX_MISSED_HEARTBEATS = 3;

export interface HeartbeatTuning {
  /** How often a processor shows that it lives and looks for commands, ms. Default 1000. */
  readonly heartbeatMs?: number | undefined;
  /** How often it tells of itself, looks after its queues and hands over its history, ms. Default 5000. */
  readonly infoMs?: number | undefined;
  /** A processor that has been unresponsive for this long is dead, ms. Default 25,000. */
  readonly unresponsiveMs?: number | undefined;
}

export interface HeartbeatOptions extends HeartbeatTuning {
  readonly redis: Redis;
  readonly events: Events;
  readonly identity: string;
  /** The queues that it serves. */
  readonly queues: readonly string[];
  /** Processors whose end is known. */
  readonly dead: readonly string[];
  /** @param redisMs what the last round trip took. */
  readonly describe: (redisMs: number | null) => ProcessInfo;
  readonly onCommand: (command: ProcessorCommand) => void;
}

/**
 * A processor's place on the list of processes. A heartbeat a second shows that it lives and brings its commands; every few
 * seconds it tells of itself as well. In turn it rescues the jobs of those that are unresponsive. Since heartbeats come
 * from the event loop, a job that blocks it for as long as `unresponsiveMs` runs a second time elsewhere.
 */
export class Heartbeat {
  private readonly task: PeriodicTask;
  private readonly infoEvery: number;
  private heartbeats = 0;
  private last: HeartbeatReply | undefined;
  private redisMs: number | null = null;
  private dead: readonly string[];
  /** Orders that were carried out, until Redis has been told so. */
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
        // A Redis that is away is told of by its connection.
        if (redis.client.isReady) events.emit('queue.error', { error, during: 'the heartbeat of the job processor' });
      },
    });
  }

  start(): void {
    this.unsubscribe ??= this.options.events.on('redis.ready', () => this.task.trigger());
    this.task.start();
  }

  /** Tells of itself at once: something has changed that others should know. */
  trigger(): void {
    this.heartbeats = 0;
    this.task.trigger();
  }

  /** That one's end is known: its jobs are rescued at once. */
  rescueOrphans(identity: string): void {
    this.dead = [...this.dead, identity];
    this.task.trigger();
  }

  /** Leaves the list. To be called when nothing is in hand any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    await deadline.wait(this.task.stop());
    const { client } = this.options.redis;
    if (client.isReady) await deadline.wait(this.registry.deregister(this.options.identity)).catch(() => undefined);
  }

  private async pass(): Promise<number | undefined> {
    const { redis, identity, describe, heartbeatMs = 1000, unresponsiveMs = 25_000 } = this.options;
    if (!redis.client.isReady) return undefined;
    // Before it shows itself, so that nobody sees both. It lives all the same when that fails.
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
    // Between jobs that block the event loop there may be a moment only, in which the last reply is read as well.
    return Math.max(0, heartbeatMs - tookMs);
  }

  /** A command stays in its list until it was carried out, and comes again until Redis knows that it was. */
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
// ARGV  1 its identity  2 0, or how long it must have been unresponsive, ms: then who comes second takes nothing
// reply false, or queue number, id for each job given back
// The delivery stays counted, since it may be what killed the process; and its fence stays, in case that was blocked only
// and its outcome comes before the next delivery.
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
 * Gives what a dead process had in hand back to the head of its queue at once, where the stall check would wait for
 * its interval, and takes the process off the list.
 * @param unresponsiveMs take over only what has been unresponsive for this long; 0 for a process that is known to be dead.
 * @returns the jobs given back; undefined when it is not unresponsive, or another process has rescued them.
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
