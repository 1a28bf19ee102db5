import type { EventMap, EventName, Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import {
  ClassStats,
  DAYS_KEPT,
  dayKey,
  GREATEST,
  handedOverKey,
  type MailTally,
  MINUTE_MS,
  MINUTE_TTL_S,
  minuteKey,
  OTHER_CLASSES,
  TOTALS_KEY,
  toFields,
} from './class-stats';

/** Maximum number of classes that are counted by name in one minute. */
const MAX_CLASSES = 200;
/** Maximum number of minutes kept while Redis is unavailable; earlier ones are merged into the oldest. */
const MAX_MINUTES = 60;

/** Counts by the beginning of the minute, ms since 1970, then by class. */
export type Minutes = Map<number, Map<string, ClassStats>>;

/** Counts the outcomes of jobs in this process until they are sent to Redis. Costs a job a few increments. */
export class JobStats {
  private minutes: Minutes = new Map();
  private minute = -1;
  private minuteEnds = -1;
  private current = new Map<string, ClassStats>();

  /**
   * @param isKnown unknown classes are counted together, since anybody with access to a queue can invent names.
   * Default: all are known.
   */
  constructor(
    private readonly now: () => number = Date.now,
    private readonly isKnown: (className: string) => boolean = () => true,
  ) {}

  /** @returns a function that stops it. */
  listen(events: Events): () => void {
    const names = ['job.started', 'job.succeeded', 'job.retrying', 'job.dead', 'job.discarded'] as const;
    return events.onAny((name, payload) => this.hear(name, payload), names);
  }

  /** Returns the counts since the last call. */
  take(): Minutes {
    const { minutes } = this;
    this.minutes = new Map();
    this.minute = this.minuteEnds = -1;
    return minutes;
  }

  private hear(name: EventName, payload: EventMap[EventName]): void {
    switch (name) {
      case 'job.started': {
        const { class: className, waitedMs } = payload as EventMap['job.started'];
        this.of(className).latency.observe(waitedMs);
        break;
      }
      case 'job.succeeded': {
        const { class: className, durationMs } = payload as EventMap['job.succeeded'];
        const stats = this.of(className);
        stats.processed++;
        stats.duration.observe(durationMs);
        break;
      }
      case 'job.retrying': {
        const stats = this.of((payload as EventMap['job.retrying']).class);
        stats.failed++;
        stats.retried++;
        break;
      }
      case 'job.dead': {
        const stats = this.of((payload as EventMap['job.dead']).class);
        stats.failed++;
        stats.dead++;
        break;
      }
      case 'job.discarded':
        this.of((payload as EventMap['job.discarded']).class).discarded++;
        break;
    }
  }

  private of(className: string): ClassStats {
    const now = this.now();
    if (now >= this.minuteEnds || now < this.minute) this.begin(Math.floor(now / MINUTE_MS) * MINUTE_MS);
    return this.current.get(className) ?? statsIn(this.current, this.isKnown(className) ? className : OTHER_CLASSES);
  }

  private begin(minute: number): void {
    this.minute = minute;
    this.minuteEnds = minute + MINUTE_MS;
    this.current = this.minutes.get(minute) ?? new Map();
    this.minutes.set(minute, this.current);
    if (this.minutes.size > MAX_MINUTES) this.foldOldest();
  }

  private foldOldest(): void {
    const [first, second] = this.minutes;
    if (!first || !second) return;
    this.minutes.delete(first[0]);
    for (const [className, stats] of first[1]) statsIn(second[1], className).merge(stats);
  }
}

function statsIn(classes: Map<string, ClassStats>, className: string): ClassStats {
  const name = classes.has(className) || classes.size < MAX_CLASSES ? className : OTHER_CLASSES;
  const stats = classes.get(name) ?? new ClassStats();
  classes.set(name, stats);
  return stats;
}

/** Counts the runs of this process since the last call of `take`. */
export class WorkCounter {
  private processed = 0;
  private failed = 0;

  /** @returns a function that stops it. */
  listen(events: Events): () => void {
    return events.onAny((name) => this.hear(name), ['job.succeeded', 'job.retrying', 'job.dead']);
  }

  /** Returns the counts and resets them. */
  take(): { readonly processed: number; readonly failed: number } {
    const { processed, failed } = this;
    this.processed = this.failed = 0;
    return { processed, failed };
  }

  private hear(name: EventName): void {
    if (name === 'job.succeeded') this.processed++;
    else if (name === 'job.retrying' || name === 'job.dead') this.failed++;
  }
}

/** Fields in one script call, so that it blocks Redis for a few milliseconds at most. */
const CHUNK = 500;
/** A hash with this many fields accepts no new class, so that endless names do not fill Redis. */
const MAX_FIELDS = 10_000;
/** Time for which Redis remembers the last part of a processor, s. */
const REMEMBERED_S = 86_400;

// KEYS  1 number of the last part of this processor, 2 minute, 3 day, 4 totals
// ARGV  1 number of this part  2 TTL of that number, 3 of a minute, 4 of a day (s)  5 maximum fields of a hash
//       6 name under which further classes are counted  7… field, increment
// reply 1; 0 when the part had been applied before, and that reply was lost
const SCRIPT = new RedisScript(`
local call = redis.call
if tonumber(call('get', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])
for k = 2, 4 do
  local full = call('hlen', KEYS[k]) >= tonumber(ARGV[5])
  for a = 7, #ARGV, 2 do
    local field = ARGV[a]
    if full and call('hexists', KEYS[k], field) == 0 then field = field:match('^[^:]*:')..ARGV[6] end
    if not field:find('${GREATEST}') then call('hincrby', KEYS[k], field, ARGV[a + 1])
    elseif tonumber(call('hget', KEYS[k], field) or 0) < tonumber(ARGV[a + 1]) then call('hset', KEYS[k], field, ARGV[a + 1]) end
  end
end
call('expire', KEYS[2], ARGV[3]); call('expire', KEYS[3], ARGV[4])
return 1`);

interface Part {
  readonly number: number;
  readonly minute: number;
  readonly fields: readonly (readonly [field: string, by: number])[];
}

/**
 * Sends the counts of this process to Redis, each part exactly once: a part whose reply was lost is sent again under
 * its number, which Redis then knows.
 */
export class StatsFlusher {
  private parts: Part[] = [];
  private count = 0;

  constructor(
    private readonly stats: JobStats,
    /** Unique among all processes, past ones included. */
    private readonly identity: string,
    private readonly mails?: MailTally,
  ) {}

  /** @throws Error when Redis does not answer; the parts are sent again the next time. */
  async send(client: RedisClient): Promise<void> {
    await this.sendParts(client);
    this.cut();
    await this.sendParts(client);
  }

  private cut(): void {
    // Mails go first, so that nobody sees a job counted whose mail is not counted yet.
    this.addParts(Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS, this.mails?.take() ?? []);
    for (const [minute, classes] of this.stats.take()) {
      this.addParts(
        minute,
        [...classes].flatMap(([className, stats]) => toFields(className, stats)),
      );
    }
  }

  private addParts(minute: number, fields: Part['fields']): void {
    for (let i = 0; i < fields.length; i += CHUNK) {
      this.parts.push({ number: ++this.count, minute, fields: fields.slice(i, i + CHUNK) });
    }
  }

  private async sendParts(client: RedisClient): Promise<void> {
    for (let part = this.parts[0]; part; part = this.parts[0]) {
      await this.sendPart(client, part);
      this.parts.shift();
    }
  }

  private async sendPart(client: RedisClient, { number, minute, fields }: Part): Promise<void> {
    const keys = [handedOverKey(this.identity), minuteKey(minute), dayKey(minute), TOTALS_KEY];
    const numbers = [number, REMEMBERED_S, MINUTE_TTL_S, DAYS_KEPT * 86_400, MAX_FIELDS].map(String);
    const increments = fields.flatMap(([field, by]) => [field, String(by)]);
    await SCRIPT.run(client, keys, [...numbers, OTHER_CLASSES, ...increments]);
  }
}
