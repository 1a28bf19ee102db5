import type { Translate } from '../../core/i18n';
import type { OpsContext } from '../context';
import { TimeWords } from '../page/time-words';

export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'unknown';

/** How the overview speaks to one reader. */
export class Words {
  readonly time: TimeWords;

  constructor(
    readonly t: Translate,
    readonly now: Date,
    /** A viewer: paths of requests, and what processes printed, may name people. */
    readonly veiled: boolean,
  ) {
    this.time = new TimeWords(t, now);
  }

  static of(ctx: OpsContext, now = new Date()): Words {
    return new Words(ctx.state.t, now, ctx.state.visitor.role !== 'operator');
  }

  /** For what was seen at that time, by another clock perhaps. */
  at(moment: string): Words {
    return new Words(this.t, new Date(moment), this.veiled);
  }

  mb(value: number | null | undefined): string {
    return value === null || value === undefined ? '–' : `${Math.round(value)} MB`;
  }

  /** Since then; a dash when it is not known. */
  up(since: string | null): string {
    return since === null ? '–' : this.time.span(Math.max(1000, this.now.getTime() - Date.parse(since)));
  }

  /** Until then, at least a second. */
  until(then: string): string {
    return this.time.span(Math.max(1000, Math.ceil((Date.parse(then) - this.now.getTime()) / 1000) * 1000));
  }

  percent(share: number): number {
    return Math.round(share * 100);
  }

  seconds(ms: number): string {
    return this.time.span(Math.max(1000, Math.round(ms / 1000) * 1000));
  }
}

/** Two sentences or more, in one line. */
export function sentences(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join(' ');
}

/** Facts side by side. */
export function facts(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter(Boolean).join(' · ');
}
