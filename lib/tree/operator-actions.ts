import { type EventMap, type EventName, type Events, keeperOf, type RecentEvent, recentEvent } from '../core/events';
import type { Redis, RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { Deadline, toError } from '../support/async';
import { isObject } from '../support/type-guards';
import { ACTIONS_KEY } from './tree-commands';

const KEPT = 200;
/**
 * The same action by the same operator within this time is added to the earlier entry, ms: a selection of jobs is moved
 * one by one.
 */
const SAME_MS = 10_000;
/** Timeout for connecting to Redis, ms: the process may be about to exit. */
const PATIENCE_MS = 2000;

// KEYS 1 actions ARGV 1 the action as JSON, 2 its count, 3 time within which it is the same action (ms), 4 entries kept
const NOTE = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now, count = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
local at, before, what = (call('lindex', KEYS[1], 0) or ''):match('^(%d+) (%d+) (.*)$')
local isSame = what == ARGV[1] and count > 0 and now - at < tonumber(ARGV[3])
local entry = string.format('%.0f %d %s', now, count + (isSame and before or 0), ARGV[1])
if isSame then call('lset', KEYS[1], 0, entry) else call('lpush', KEYS[1], entry) end
call('ltrim', KEYS[1], 0, ARGV[4] - 1)`);

/**
 * Records in Redis the actions of operators, from the pages of any tree or from a terminal. It listens to the events
 * that the log is written from.
 */
export class OperatorActions {
  private readonly underway = new Set<Promise<void>>();

  constructor(
    private readonly redis: Redis,
    private readonly events: Events,
    /** Makes the own tree keep an event that Redis did not take. Absent where no tree is known. */
    private readonly remember?: (event: RecentEvent) => Promise<void>,
  ) {}

  /** Records every action from now on. */
  listen(): void {
    this.events.onAny((name, payload) => {
      if (keeperOf(name) === 'redis') this.track(this.note(name, payload));
    });
  }

  /** Resolves when every action so far is recorded, or has failed to be. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.underway);
  }

  private async note(name: EventName, payload: EventMap[EventName]): Promise<void> {
    const { count = 0, ...about } = payload as { readonly count?: number };
    try {
      await this.ready();
      const what = JSON.stringify({ name, about });
      await NOTE.run(this.redis.client, [ACTIONS_KEY], [what, String(count), String(SAME_MS), String(KEPT)]);
    } catch (thrown) {
      // The log has the action all the same.
      const error = toError(thrown);
      await this.remember?.(recentEvent(name, payload)).catch(() => undefined);
      this.events.emit('process.error', { error, during: 'keeping in Redis what an operator has done' });
    }
  }

  /** Connects if needed: some commands use Postgres alone. */
  private async ready(): Promise<void> {
    if (this.redis.client.isOpen) return;
    const ready = this.events.next('redis.ready');
    await this.redis.start();
    await Deadline.after(PATIENCE_MS).wait(ready);
  }

  private track(work: Promise<void>): void {
    this.underway.add(work);
    void work.then(() => this.underway.delete(work));
  }
}

/** The recorded actions, newest first. @throws Error when Redis does not answer. */
export async function readActions(client: RedisClient): Promise<RecentEvent[]> {
  return (await client.lRange(ACTIONS_KEY, 0, -1)).flatMap(readStoredAction);
}

/** Returns nothing for an entry that this version cannot read. */
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
