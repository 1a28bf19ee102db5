import type { EventMap, EventName, Events } from '../../core/events';
import { Histogram } from '../../support/histogram';

export const COUNTERS = ['processed', 'failed', 'retried', 'dead', 'discarded'] as const;
export const HISTOGRAMS = ['latency', 'duration'] as const;

/**
 * Upper bounds of the buckets, ms: from 1.5 ms to some two days in 47 steps, each half as large again as the one
 * before, so a quantile is off by about a fifth. Their numbers are field names in Redis.
 */
export const JOB_BOUNDS_MS: readonly number[] = Array.from({ length: 47 }, (_, bucket) => 1.5 ** (bucket + 1));

/** The counts of one class in some period. */
export class ClassStats {
  /** Runs that succeeded. */
  processed = 0;
  /** Runs that failed, with or without a retry. */
  failed = 0;
  retried = 0;
  dead = 0;
  discarded = 0;
  /** Time from when a job was due until its run began, ms. */
  readonly latency = new Histogram(JOB_BOUNDS_MS);
  /** Durations of the runs that succeeded, ms. */
  readonly duration = new Histogram(JOB_BOUNDS_MS);

  merge(other: ClassStats): void {
    for (const name of COUNTERS) this[name] += other[name];
    for (const name of HISTOGRAMS) this[name].add(other[name]);
  }
}

/** Names in Redis, which are short since they are stored for every class and minute. */
const COUNTER_CODES = { processed: 'p', failed: 'f', retried: 'r', dead: 'd', discarded: 'x' } as const;
const HISTOGRAM_CODES = { latency: 'l', duration: 't' } as const;

/** Matches fields that keep their maximum; all others are summed up. The pattern is valid in Lua and in JavaScript. */
export const GREATEST = '^[lt]m:';

/**
 * The increments of a hash's fields: `p:WelcomeEmailJob`, `t7:WelcomeEmailJob` for bucket 7, `ts:` for the sum; and
 * `tm:` for the maximum.
 */
export function toFields(className: string, stats: ClassStats): [field: string, by: number][] {
  const fields: [string, number][] = [];
  const put = (code: string, by: number) => {
    if (by > 0) fields.push([`${code}:${className}`, by]);
  };
  for (const name of COUNTERS) put(COUNTER_CODES[name], stats[name]);
  for (const name of HISTOGRAMS) {
    const code = HISTOGRAM_CODES[name];
    for (const [bucket, count] of stats[name].counts.entries()) put(`${code}${bucket}`, count);
    put(`${code}s`, Math.round(stats[name].sumMs));
    put(`${code}m`, Math.ceil(stats[name].maxMs));
  }
  return fields;
}

/** Reads such a hash. Unknown fields, which another version may have written, are ignored. */
export function fromFields(fields: Readonly<Record<string, string>>): Map<string, ClassStats> {
  const found = new Map<string, ClassStats>();
  for (const [field, text] of Object.entries(fields)) {
    const colon = field.indexOf(':');
    const set = SETTERS.get(field.slice(0, colon));
    const value = Number(text);
    if (colon === -1 || !set || !Number.isFinite(value)) continue;
    const className = field.slice(colon + 1);
    const stats = found.get(className) ?? new ClassStats();
    set(stats, value);
    found.set(className, stats);
  }
  return found;
}

type Setter = (stats: ClassStats, value: number) => void;

/** Setters by code. */
const SETTERS: ReadonlyMap<string, Setter> = new Map<string, Setter>([
  ...COUNTERS.map((name): [string, Setter] => [
    COUNTER_CODES[name],
    (stats, value) => {
      stats[name] = value;
    },
  ]),
  ...HISTOGRAMS.flatMap((name): [string, Setter][] => [
    [
      `${HISTOGRAM_CODES[name]}s`,
      (stats, value) => {
        stats[name].sumMs = value;
      },
    ],
    [
      `${HISTOGRAM_CODES[name]}m`,
      (stats, value) => {
        stats[name].maxMs = value;
      },
    ],
    ...Array.from({ length: JOB_BOUNDS_MS.length + 1 }, (_, bucket): [string, Setter] => [
      `${HISTOGRAM_CODES[name]}${bucket}`,
      (stats, value) => {
        stats[name].counts[bucket] = value;
      },
    ]),
  ]),
]);

const PREFIX = 'catamount:history:';

export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;
/** Time for which minutes are kept, s: a day, and one more hour to read it. */
export const MINUTE_TTL_S = 25 * 3600;
export const DAYS_KEPT = 180;
export const TOTALS_KEY = 'catamount:totals';
/** The name under which classes beyond the limit are counted. */
export const OTHER_CLASSES = '(other classes)';

/** Redis hash of a minute: `catamount:history:202611250405`, in UTC. @param at ms since 1970. */
export function minuteKey(at: number): string {
  return PREFIX + new Date(at).toISOString().slice(0, 16).replace(/[-T:]/g, '');
}

/** Redis hash of a day: `catamount:history:20261125`, in UTC. @param at ms since 1970. */
export function dayKey(at: number): string {
  return PREFIX + new Date(at).toISOString().slice(0, 10).replaceAll('-', '');
}

/** Redis string: the number of the last part that a processor has sent. */
export function handedOverKey(identity: string): string {
  return `${PREFIX}handed-over:${identity}`;
}

export const MAIL_OUTCOMES = ['sent', 'failed', 'skipped'] as const;
export type MailCounts = Record<(typeof MAIL_OUTCOMES)[number], number>;

/** Maximum number of mailers that are counted by name between two sends. */
const MAX_MAILERS = 200;
/** Names in Redis, in the same hashes as the counts of jobs: `ms:UserMailer`. */
const CODES = { sent: 'ms', failed: 'mf', skipped: 'mk' } as const;

/** Counts the outcomes of mails in this process until they are sent to Redis. Every failed attempt counts. */
export class MailTally {
  private mailers = new Map<string, MailCounts>();

  /** @returns a function that stops it. */
  listen(events: Events): () => void {
    return events.onAny((name, payload) => this.hear(name, payload), ['mail.sent', 'mail.failed', 'mail.skipped']);
  }

  /** Returns the counts since the last call, as increments of a hash's fields. */
  take(): [field: string, by: number][] {
    const { mailers } = this;
    this.mailers = new Map();
    return [...mailers].flatMap(([mailer, counts]) =>
      MAIL_OUTCOMES.filter((outcome) => counts[outcome] > 0).map((outcome): [string, number] => [
        `${CODES[outcome]}:${mailer}`,
        counts[outcome],
      ]),
    );
  }

  private hear(name: EventName, payload: EventMap[EventName]): void {
    switch (name) {
      case 'mail.sent':
        this.of((payload as EventMap['mail.sent']).mailer).sent++;
        break;
      case 'mail.failed':
        this.of((payload as EventMap['mail.failed']).mailer).failed++;
        break;
      case 'mail.skipped':
        this.of((payload as EventMap['mail.skipped']).mailer).skipped++;
        break;
    }
  }

  private of(mailer: string): MailCounts {
    const name = this.mailers.has(mailer) || this.mailers.size < MAX_MAILERS ? mailer : OTHER_CLASSES;
    const counts = this.mailers.get(name) ?? { sent: 0, failed: 0, skipped: 0 };
    this.mailers.set(name, counts);
    return counts;
  }
}

/** Reads the mail counters of such a hash. */
export function mailsFromFields(fields: Readonly<Record<string, string>>): Map<string, MailCounts> {
  const mailers = new Map<string, MailCounts>();
  for (const [field, text] of Object.entries(fields)) {
    const [code = '', ...rest] = field.split(':');
    const outcome = MAIL_OUTCOMES.find((one) => CODES[one] === code);
    const count = Number(text);
    if (!outcome || !Number.isFinite(count)) continue;
    const name = rest.join(':');
    const counts = mailers.get(name) ?? { sent: 0, failed: 0, skipped: 0 };
    counts[outcome] = count;
    mailers.set(name, counts);
  }
  return mailers;
}
