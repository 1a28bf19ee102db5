import type { Locale } from '../../core/locale';

const DAY_MS = 86_400_000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** Numbers, sizes and times as the pages write them. Times are UTC. */
export class Format {
  constructor(private readonly locale: Locale) {}

  /** Groups of three, with narrow spaces. An unknown one is a dash, never 0. */
  readonly count = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');

  /** `640 B`, `6.1 kB`, `2.3 MB`. */
  readonly size = (bytes: number): string => {
    if (bytes < 100) return `${bytes} B`;
    return bytes < 999_950 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };

  /** `Mar 12`. As `Intl` writes it, which would have 8 MB of tables read into the worker. */
  readonly day = (date: Date): string => {
    const [month, day] = [date.getUTCMonth(), date.getUTCDate()];
    return this.locale === 'ko' ? `${month + 1}월 ${day}일` : `${MONTHS[month]} ${day}`;
  };

  /** `14:02:11` */
  readonly clock = (date: Date): string => date.toISOString().slice(11, 19);

  /** `14:02` today, else the day. */
  readonly when = (date: Date, now = new Date()): string => {
    if (date.toISOString().slice(0, 10) === now.toISOString().slice(0, 10)) return date.toISOString().slice(11, 16);
    if (Math.abs(now.getTime() - date.getTime()) < 300 * DAY_MS) return this.day(date);
    return date.toISOString().slice(0, 10);
  };

  /** `Mar 12, 14:02:11`; with the year when it is another one. */
  readonly stamp = (date: Date, now = new Date()): string => {
    if (Math.abs(now.getTime() - date.getTime()) > 300 * DAY_MS) return this.moment(date);
    return `${this.day(date)}${this.locale === 'ko' ? '' : ','} ${this.clock(date)}`;
  };

  /** `2026-03-12 14:02:11` */
  readonly moment = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ');
}
