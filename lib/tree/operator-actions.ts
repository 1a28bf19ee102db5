import type { EventMap, EventName, Events } from '../core/events';
import { findKeeper, type RecentEvent, recentEvent } from '../core/notable-events';
import type { Redis, RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { Deadline, toError } from '../support/async';
import { isObject } from '../support/type-guards';
import { ACTIONS_KEY } from './tree-commands';

/** Maximum number of entries; the oldest are dropped. */
const MAX_ENTRIES = 200;
/**
 * The same action by the same operator within this time is added to the last entry, ms: a selection of jobs is moved
 * one job at a time.
 */
const SAME_MS = 10_000;
/** Timeout for connecting to Redis, ms. It is short, since the process may be about to exit. */
const PATIENCE_MS = 2000;

// KEYS 1 actions ARGV 1 the action as JSON, 2 its count, 3 time within which it is the same action (ms), 4 MAX_ENTRIES
const RECORD_SCRIPT = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now, count = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
local at, before, what = (call('lindex', KEYS[1], 0) or ''):match('^(%d+) (%d+) (.*)$')
local isSame = what == ARGV[1] and count > 0 and now - at < tonumber(ARGV[3])
local entry = string.format('%.0f %d %s', now, count + (isSame and before or 0), ARGV[1])
if isSame then call('lset', KEYS[1], 0, entry) else call('lpush', KEYS[1], entry) end
call('ltrim', KEYS[1], 0, ARGV[4] - 1)`);

/**
 * Records in Redis what operators do, on the pages of any tree or in a terminal; without Redis, a tree keeps what was done on its
 * own pages. It listens to the same events from which the log is written.
 */
export class OperatorActions {
  private readonly underway = new Set<Promise<void>>();

  constructor(
    private readonly redis: Redis,
    private readonly events: Events,
    /** Has this process's tree keep an event that Redis has not accepted. Absent in a process outside a tree. */
    private readonly remember?: (event: RecentEvent) => Promise<void>,
  ) {}

  /** Records every action from now on. */
  listen(): void {
    this.events.onAny((name, payload) => {
      if (findKeeper(name) === 'redis') this.track(this.record(name, payload));
    });
  }

  /** Resolves when every action so far has been recorded, or could not be. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.underway);
  }

  private async record(name: EventName, payload: EventMap[EventName]): Promise<void> {
    const { count = 0, ...about } = payload as { readonly count?: number };
    try {
      await this.ready();
      const what = JSON.stringify({ name, about });
      const args = [what, String(count), String(SAME_MS), String(MAX_ENTRIES)];
      await RECORD_SCRIPT.run(this.redis.client, [ACTIONS_KEY], args);
    } catch (thrown) {
      // The action is in the log anyway.
      const error = toError(thrown);
      await this.remember?.(recentEvent(name, payload)).catch(() => undefined);
      if (!this.redis.isOff)
        this.events.emit('process.error', { error, during: "recording an operator's action in Redis" });
    }
  }

  /** Connects if needed: some commands use Postgres alone. */
  private async ready(): Promise<void> {
    if (this.redis.client.isOpen || this.redis.isOff) return;
    const ready = this.events.next('redis.ready');
    await this.redis.start();
    await Deadline.after(PATIENCE_MS).wait(ready);
  }

  private track(work: Promise<void>): void {
    this.underway.add(work);
    void work.then(() => this.underway.delete(work));
  }
}

/** @returns the recorded actions, newest first. @throws Error if Redis does not answer. */
export async function readActions(client: RedisClient): Promise<RecentEvent[]> {
  return (await client.lRange(ACTIONS_KEY, 0, -1)).flatMap(readStoredAction);
}

/** @returns an empty array for an entry that this version cannot read. */
function readStoredAction(text: string): RecentEvent[] {
  const [, at, count, json = ''] = /^(\d+) (\d+) (.*)$/s.exec(text) ?? [];
  try {
    const { name, about } = JSON.parse(json) as { readonly name: EventName; readonly about: RecentEvent['about'] };
    if (!isObject(about) || typeof name !== 'string') return [];
    return [{ at: new Date(Number(at)).toISOString(), name, about: { ...about, count: Number(count) } }];
  } catch {
    return [];
  }
}
