import { UserError } from '../../core/errors';
import { Backoff } from '../../support/backoff';
import type { NextRestart, Termination } from '../status';
import type { ChildHandle } from './child-handle';

export interface RestartOptions {
  /** First wait, ms. Default 100. */
  readonly base?: number;
  /** Longest wait, ms. Default 30,000. */
  readonly max?: number;
  /**
   * A child that served this long, ms, resets the backoff when it dies. Otherwise requests or jobs that each kill a
   * child now and then would lengthen the waits until nobody serves the others. Default 5000.
   */
  readonly stableMs?: number;
}

/** Schedules restarts with exponential backoff, which a child that served for a while resets. */
export class RestartPolicy {
  last: Termination | null = null;
  next: NextRestart | null = null;
  private readonly backoff: Backoff;
  private readonly stableMs: number;
  private bootDeaths = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: RestartOptions = {}) {
    this.backoff = new Backoff({ base: options.base ?? 100, max: options.max ?? 30_000 });
    this.stableMs = options.stableMs ?? 5000;
  }

  served(): void {
    this.bootDeaths = 0;
    this.next = null;
  }

  /** Calls `again` after the next wait. @returns that wait, ms, and the number of the attempt. */
  schedule(servedMs: number, again: () => void): { waitMs: number; attempt: number } {
    if (servedMs >= this.stableMs) this.backoff.reset();
    const waitMs = this.backoff.next();
    const attempt = this.backoff.attempts;
    this.timer = setTimeout(again, waitMs);
    this.next = { at: new Date(Date.now() + waitMs).toISOString(), attempt };
    return { waitMs, attempt };
  }

  cancel(): void {
    clearTimeout(this.timer);
  }

  /**
   * Counts the death if the child was never ready.
   * @param maxDeaths in a row after which another try is useless, if no child of its kind was ever ready.
   * @returns the error that keeps the tree from starting; undefined while another try may help.
   */
  bootDied(dead: ChildHandle, maxDeaths: number): UserError | undefined {
    if (!dead.wasReady) this.bootDeaths++;
    const { refusal, name, exitMessage } = dead;
    if (refusal || this.bootDeaths < maxDeaths) return refusal;
    return new UserError(`Catamount cannot start: ${name} died ${this.bootDeaths} times at boot: ${exitMessage}`);
  }
}
