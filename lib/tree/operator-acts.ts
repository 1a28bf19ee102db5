import { recentEvent } from '../cluster/primary/tree-monitor';
import type { RecentEvent } from '../cluster/status';
import type { EventMap, EventName, Events } from '../core/events';
import { keeperOf } from '../core/notable-events';
import type { Redis, RedisClient } from '../core/redis';
import { RedisScript } from '../core/redis-script';
import { Deadline, toError } from '../support/async';
import { isObject } from '../support/type-guards';
import { ACTS } from './tree-commands';

const KEPT = 200;
/** The same act by the same person again this soon is added to the first: of jobs that are named one by one, ms. */
const SAME_MS = 10_000;
/** Who is about to leave waits so long for Redis, ms. */
const PATIENCE_MS = 2000;

// KEYS  1 acts   ARGV 1 what was done, as JSON, 2 to how many, 3 how soon it is the same act (ms), 4 how many are kept
const NOTE = new RedisScript(`
local call, time = redis.call, redis.call('time')
local now, count = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
local at, before, what = (call('lindex', KEYS[1], 0) or ''):match('^(%d+) (%d+) (.*)$')
local isSame = what == ARGV[1] and count > 0 and now - at < tonumber(ARGV[3])
local entry = string.format('%.0f %d %s', now, count + (isSame and before or 0), ARGV[1])
if isSame then call('lset', KEYS[1], 0, entry) else call('lpush', KEYS[1], entry) end
call('ltrim', KEYS[1], 0, ARGV[4] - 1)`);

/**
 * Keeps in Redis what operators do, from whatever process: the pages of any tree, or a terminal. All of it is told by
 * events, which also write the log.
 */
export class OperatorActs {
  private readonly underway = new Set<Promise<void>>();

  constructor(
    private readonly redis: Redis,
    private readonly events: Events,
    /** Has the own tree remember what Redis does not take. Absent where no tree is known. */
    private readonly remember?: (event: RecentEvent) => Promise<void>,
  ) {}

  /** From now on. */
  listen(): void {
    this.events.onAny((name, payload) => {
      if (keeperOf(name) === 'redis') this.track(this.note(name, payload));
    });
  }

  /** All that was told is written down, or could not be. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.underway);
  }

  private async note(name: EventName, payload: EventMap[EventName]): Promise<void> {
    const { count = 0, ...about } = payload as { readonly count?: number };
    try {
      await this.ready();
      const what = JSON.stringify({ name, about });
      await NOTE.run(this.redis.client, [ACTS], [what, String(count), String(SAME_MS), String(KEPT)]);
    } catch (thrown) {
      // The log has it all the same.
      const error = toError(thrown);
      await this.remember?.(recentEvent(name, payload)).catch(() => undefined);
      this.events.emit('process.error', { error, during: 'keeping in Redis what an operator has done' });
    }
  }

  /** Some commands need Postgres alone: they have not connected. */
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

/** Newest first. @throws when Redis does not answer. */
export async function readActs(client: RedisClient): Promise<RecentEvent[]> {
  return (await client.lRange(ACTS, 0, -1)).flatMap(readAct);
}

/** None for what no version near this one has written. */
function readAct(text: string): RecentEvent[] {
  const [, at, count, json = ''] = /^(\d+) (\d+) (.*)$/s.exec(text) ?? [];
  try {
    const { name, about } = JSON.parse(json) as { readonly name: EventName; readonly about: RecentEvent['about'] };
    if (!isObject(about) || typeof name !== 'string') return [];
    return [{ at: new Date(Number(at)).toISOString(), name, about: { ...about, count: Number(count) } }];
  } catch {
    return [];
  }
}
