import type { Activity, Termination } from '../../cluster/status';
import { readCaller } from '../../core/event-catalog';
import type { Translate } from '../../core/i18n';
import type { Holder } from '../../health/probes';
import { MAX_COUNTED } from '../../job/row/queue-status';
import { megabytes, percent, rate } from '../../support/figures';
import type { OpsContext } from './page-types';

const DAY_MS = 86_400_000;

const UNITS = [
  ['d', DAY_MS],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** Maximum length of a text from elsewhere, such as a process's output, characters. The rest is cut. */
const MAX_LENGTH = 90;

/**
 * Formats numbers, sizes, times, durations and causes in the language of one reader, from the texts `time.*`, `work.*`,
 * `caller.*` and `overview.termination.*`. Times are UTC.
 */
export class Formatter {
  /** @param now reference of relative times. Default: the present. */
  constructor(
    readonly t: Translate,
    readonly now: Date = new Date(),
  ) {}

  static of(ctx: OpsContext): Formatter {
    return new Formatter(ctx.state.t);
  }

  /** @returns this formatter relative to another time, for observations made then, perhaps by another clock. */
  at(moment: string): Formatter {
    return new Formatter(this.t, new Date(moment));
  }

  /** A number in groups of three digits with narrow spaces. An unknown one is a dash, never 0. */
  readonly count = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');

  /** A number of jobs that were counted up to 10,000. */
  readonly counted = (value: number | null | undefined): string =>
    this.count(value) + ((value ?? 0) >= MAX_COUNTED ? '+' : '');

  /** Bytes in decimal units: `64 B`, `6.1 kB`, `2.3 MB`. */
  readonly size = (bytes: number): string => {
    if (bytes < 100) return `${bytes} B`;
    return bytes < 999_950 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };

  /** A number of megabytes: `72 MB`; a dash for an unknown one. */
  readonly mb = megabytes;

  readonly percent = (share: number): number => Math.round(share * 100);

  /** A rate per second: `0.4`, `12`. */
  readonly rate = rate;

  /** A share from 0 to 1, with more digits where it is small: `0.25 %`, `3.1 %`, `35 %`. */
  readonly share = (share: number): string => {
    if (share === 0 || share >= 0.1) return percent(share);
    return `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} %`;
  };

  /** A round trip time: `0.4 ms`, `12 ms`. */
  readonly ping = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

  /** Bytes of memory: `1.2 MB`, `72 MB`. */
  readonly memory = (bytes: number): string => {
    const mb = bytes / 1_048_576;
    return mb < 10 ? `${mb.toFixed(1)} MB` : megabytes(mb);
  };

  /** `Mar 12`, as `Intl` would write it, which would load 8 MB of tables into the worker. */
  readonly day = (date: Date): string => {
    const month = this.t(`time.months.${date.getUTCMonth() + 1}`);
    return this.t('time.day', { month, day: date.getUTCDate() });
  };

  /** `14:02:11` */
  readonly clock = (date: Date): string => date.toISOString().slice(11, 19);

  /** `14:02` today, `Mar 12` within 300 days, else `2026-03-12`. */
  readonly when = (date: Date, now = this.now): string => {
    if (date.toISOString().slice(0, 10) === now.toISOString().slice(0, 10)) return date.toISOString().slice(11, 16);
    if (Math.abs(now.getTime() - date.getTime()) < 300 * DAY_MS) return this.day(date);
    return date.toISOString().slice(0, 10);
  };

  /** `Mar 12, 14:02:11`; `2026-03-12 14:02:11` when it is more than 300 days away. */
  readonly stamp = (date: Date, now = this.now): string => {
    if (Math.abs(now.getTime() - date.getTime()) > 300 * DAY_MS) return this.moment(date);
    return this.t('time.stamp', { day: this.day(date), clock: this.clock(date) });
  };

  /** `2026-03-12 14:02:11` */
  readonly moment = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ');

  /** `340 ms`, `1.2 s`, `41 s`, `4 min 12 s`, `2 d 12 h`; a dash for an unknown one. */
  readonly span = (ms: number | null | undefined): string => {
    if (ms === null || ms === undefined) return '–';
    if (ms < 1000) return this.unit('ms', Math.round(ms));
    if (ms < 10_000) return this.unit('s', (Math.floor(ms / 100) / 10).toFixed(1));
    const first = UNITS.findIndex(([, length]) => ms >= length);
    const [unit, length] = UNITS[first] ?? UNITS[3];
    const count = Math.floor(ms / length);
    const [smaller, smallerLength] = UNITS[first + 1] ?? [];
    const rest = smallerLength === undefined ? 0 : Math.floor((ms - count * length) / smallerLength);
    const text = this.unit(unit, count);
    return smaller === undefined || rest === 0 ? text : `${text} ${this.unit(smaller, rest)}`;
  };

  /** A duration in whole seconds, at least one. */
  readonly seconds = (ms: number): string => this.span(Math.max(1000, Math.round(ms / 1000) * 1000));

  /** The time since then, at least a second; a dash when it is not known. */
  readonly up = (since: string | null): string =>
    since === null ? '–' : this.span(Math.max(1000, this.now.getTime() - Date.parse(since)));

  /** The time until then, rounded up, at least a second. */
  readonly until = (then: string): string =>
    this.span(Math.max(1000, Math.ceil((Date.parse(then) - this.now.getTime()) / 1000) * 1000));

  /** `4 min ago`, `in 16 h 58 min`, `now`. */
  readonly fromNow = (date: Date): string => {
    const ms = date.getTime() - this.now.getTime();
    if (Math.abs(ms) < 1000) return this.t('time.now');
    if (ms > 0) return this.t('time.in', { span: this.span(rounded(ms)) });
    const days = Math.floor(-ms / DAY_MS);
    return days === 1 ? this.t('time.yesterday') : this.t('time.ago', { span: this.coarse(-ms) });
  };

  /** A request or job in progress, as heartbeats report it. */
  readonly work = ({ what, job }: Activity): string => (job ? this.t('work.job', job) : what);

  /** Words for a `Caller`. */
  readonly caller = (caller: string): string => {
    const { kind, name } = readCaller(caller);
    return /^(?:cli|socket|pages|app)$/.test(kind) ? this.t(`caller.${kind}`, { name }) : name || caller;
  };

  /** Jobs that hold slots: `2 × ImportJob, for up to 90 s`. */
  readonly holders = (holders: readonly Holder[]): string =>
    holders
      .map(({ class: name, count, ageMs }) => this.t('overview.issue.holder', { name, count, span: this.span(ageMs) }))
      .join(', ');

  /** The cause of a process's death, in a sentence. */
  readonly cause = ({ reason, message, code, signal, heartbeatAgeMs, activity }: Termination): string => {
    const { t } = this;
    if (reason === 'timeout' && heartbeatAgeMs !== null) {
      const span = this.seconds(heartbeatAgeMs);
      return activity === null
        ? t('overview.termination.blocked', { span })
        : t('overview.termination.blockedIn', { span, activity: cut(this.work(activity)) });
    }
    if (reason === 'timeout') return t('overview.termination.slowBoot');
    const how = reason === 'boot' ? 'boot' : 'crash';
    if (message !== null) return t(`overview.termination.${how}By`, { message: cut(message) });
    if (signal !== null) return t('overview.termination.signal', { signal });
    return code === null ? t(`overview.termination.${how}`) : t('overview.termination.exited', { code });
  };

  /** A past duration in its largest unit only, which is at least seconds. */
  coarse(ms: number): string {
    const [unit, length] = UNITS.find(([, each]) => ms >= each) ?? UNITS[3];
    return this.unit(unit, Math.floor(ms / length));
  }

  private unit(name: string, count: number | string): string {
    return this.t(`time.${name}`, { n: count });
  }
}

function cut(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text;
}

/** Rounds a future duration up, to the second below a minute and to the minute above, ms. */
function rounded(ms: number): number {
  const step = ms < 60_000 ? 1000 : 60_000;
  return Math.ceil(ms / step) * step;
}

export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'unknown';

/** Joins sentences with spaces; empty ones are left out. */
export function sentences(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join(' ');
}

/** Joins facts with middle dots, none of which begins a line; empty ones are left out. */
export function facts(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join('\u00a0· ');
}

/** Path of a job's page. It is here so that pages of other folders can link to it without loading the pages of jobs. */
export function jobPath({ queue, id }: { readonly queue: string; readonly id: string }): string {
  return `/ops/jobs/job/${encodeURIComponent(queue)}/${encodeURIComponent(id)}`;
}

const SHADES = ['w0', 'w1', 'w2', 'w3'] as const;

/** A class of the style sheet. Neighbouring workers differ in lightness, for readers who cannot tell colours apart. */
export type WorkerShade = (typeof SHADES)[number];

export function workerShade(slot: number): WorkerShade {
  return SHADES[slot % SHADES.length] ?? 'w0';
}
