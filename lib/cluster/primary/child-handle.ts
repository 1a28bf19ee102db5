import { Backoff } from '../../support/async';
import type { Termination } from '../status';

/** A child that was heard of within this time is not blocked, ms. */
export const HEALTHY_MS = 3000;

/** What a process leaves behind, for those who ask how it died. */
export class DeathNotes {
  private silence: Pick<Termination, 'heartbeatAgeMs' | 'doing'> = { heartbeatAgeMs: null, doing: null };
  private wasReady = false;

  /** @param recentStderr what it last wrote to standard error. */
  constructor(private readonly recentStderr: () => readonly string[]) {}

  ready(): void {
    this.wasReady = true;
  }

  /** It is to be killed for it. @param doing by the last that was heard. */
  silent(heartbeatAgeMs: number, doing: string | undefined): void {
    this.silence = { heartbeatAgeMs, doing: doing ?? null };
  }

  death(code: number | null, signal: string | null): Termination {
    const reason = this.silence.heartbeatAgeMs !== null ? 'timeout' : this.wasReady ? 'crash' : 'boot';
    return {
      at: new Date().toISOString(),
      reason,
      words: this.recentStderr().join(' / ') || null,
      code,
      signal,
      ...this.silence,
    };
  }
}

export interface RespawnOptions {
  /** First wait, ms. Default 100. */
  readonly base?: number;
  /** Longest wait, ms. Default 30,000. */
  readonly max?: number;
  /**
   * A child that served this long, ms, counts as healthy: its next death starts the back-off anew. Were the waits to grow
   * with every request or job that kills one now and then, nobody would serve the others. Default 5000.
   */
  readonly stableMs?: number;
}

/** Decides how long to wait before a dead child is started again: exponential, reset by one that served. */
export class Respawn {
  private readonly backoff: Backoff;
  private readonly stableMs: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: RespawnOptions = {}) {
    this.backoff = new Backoff({ base: options.base ?? 100, max: options.max ?? 30_000 });
    this.stableMs = options.stableMs ?? 5000;
  }

  /** Starts `again` after the next wait. @param servedMs since it was ready; 0 if it never was. @returns that wait and which try it leads to. */
  schedule(servedMs: number, again: () => void): { waitMs: number; attempt: number } {
    if (servedMs >= this.stableMs) this.backoff.reset();
    const waitMs = this.backoff.next();
    this.timer = setTimeout(again, waitMs);
    return { waitMs, attempt: this.backoff.attempts };
  }

  cancel(): void {
    clearTimeout(this.timer);
  }
}

/** How a process ended, in the words of the log. */
export function endingOf({ code, signal }: { readonly code: number | null; readonly signal: string | null }): string {
  return signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
}
