import type { Translate } from '../../core/i18n';

const DAY_MS = 86_400_000;
const UNITS = [
  ['d', DAY_MS],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** Lengths of time in the reader's words; the texts are `time.*`. */
export class TimeWords {
  constructor(
    private readonly t: Translate,
    private readonly now: Date,
  ) {}

  /** `340 ms`, `1.2 s`, `41 s`, `4 min 12 s`, `2 d 12 h`; a dash for an unknown one. */
  span(ms: number | null | undefined): string {
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
  }

  /** `4 min ago`, `in 16 h 58 min`, `now`. */
  fromNow(date: Date): string {
    const ms = date.getTime() - this.now.getTime();
    if (Math.abs(ms) < 1000) return this.t('time.now');
    if (ms > 0) return this.t('time.in', { span: this.span(rounded(ms)) });
    const days = Math.floor(-ms / DAY_MS);
    return days === 1 ? this.t('time.yesterday') : this.t('time.ago', { span: this.coarse(-ms) });
  }

  /** In its greatest unit: what is over is not told to the second. */
  private coarse(ms: number): string {
    const [unit, length] = UNITS.find(([, each]) => ms >= each) ?? UNITS[3];
    return this.unit(unit, Math.floor(ms / length));
  }

  private unit(name: string, count: number | string): string {
    return this.t(`time.${name}`, { n: count });
  }
}

/** Up: what is a minute ahead, or more, is not told to the second. */
function rounded(ms: number): number {
  const step = ms < 60_000 ? 1000 : 60_000;
  return Math.ceil(ms / step) * step;
}
