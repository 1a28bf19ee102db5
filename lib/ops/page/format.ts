import type { Locale } from '../../core/locale';

const DAY_MS = 86_400_000;

/** Numbers, sizes and times as the pages write them. Times are UTC. */
export class Format {
  private readonly month: Intl.DateTimeFormat;
  private readonly comma: string;

  constructor(locale: Locale) {
    this.comma = locale === 'ko' ? '' : ',';
    this.month = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', timeZone: 'UTC' });
  }

  /** Groups of three, with narrow spaces. An unknown one is a dash, never 0. */
  readonly count = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');

  /** `640 B`, `6.1 kB`, `2.3 MB`. */
  readonly size = (bytes: number): string => {
    if (bytes < 100) return `${bytes} B`;
    return bytes < 999_950 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };

  /** `14:02:11` */
  readonly clock = (date: Date): string => date.toISOString().slice(11, 19);

  /** `14:02` today, else the day. */
  readonly when = (date: Date, now = new Date()): string => {
    if (date.toISOString().slice(0, 10) === now.toISOString().slice(0, 10)) return date.toISOString().slice(11, 16);
    if (Math.abs(now.getTime() - date.getTime()) < 300 * DAY_MS) return this.month.format(date);
    return date.toISOString().slice(0, 10);
  };

  /** `Mar 12, 14:02:11`; with the year when it is another one. */
  readonly stamp = (date: Date, now = new Date()): string => {
    if (Math.abs(now.getTime() - date.getTime()) > 300 * DAY_MS) return this.moment(date);
    return `${this.month.format(date)}${this.comma} ${this.clock(date)}`;
  };

  /** `2026-03-12 14:02:11` */
  readonly moment = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ');
}
