import type { Knex } from 'knex';
import { PeriodicTask } from '../../support/periodic-task';
import { readAsked } from '../row/cancel';
import type { Executor } from './executor';

/** Interval of the looks while a job runs for longer than half of it and notifications do not arrive, ms. */
const LOOK_MS = 1000;
/** The same while they arrive: one may be lost with a connection that has fallen silent. */
const NOTIFIED_LOOK_MS = 5000;
/** Interval of the looks while a job was asked to cancel that is about to begin, or has just ended, ms. */
const AGAIN_MS = 200;

export interface CancelWatchOptions {
  readonly knex: Knex;
  readonly identity: string;
  readonly executor: Pick<Executor, 'runs' | 'cancel'>;
  /** @returns true: notifications of Postgres arrive here. */
  readonly isNotified: () => boolean;
  /** Interval of the looks without a notification, ms. Default 5,000, or 1,000 where notifications do not arrive. */
  readonly lookMs?: number | undefined;
  readonly onError: (error: Error) => void;
}

/**
 * Aborts the runs of this process whose jobs were asked to cancel. A notification says when to ask Postgres. Without one it is
 * asked from time to time, while a job runs for long.
 */
export class CancelWatch {
  readonly task: PeriodicTask;
  private isNoticed = false;
  private lookedAt = performance.now();

  constructor(private readonly options: CancelWatchOptions) {
    this.task = new PeriodicTask({ everyMs: LOOK_MS, work: () => this.look(), onError: options.onError });
  }

  /** Call when a job may have been asked to cancel. */
  notice(): void {
    this.isNoticed = true;
    this.task.trigger();
  }

  private async look(): Promise<number | undefined> {
    const { knex, identity, executor } = this.options;
    const now = performance.now();
    if (!this.isNoticed && !this.isLookDue(now)) return undefined;
    this.isNoticed = false;
    try {
      const asked = await readAsked(knex, identity);
      this.lookedAt = now;
      const runs = executor.cancel(asked);
      // One is claimed ahead, or its outcome is on its way.
      if (runs.size === asked.size) return undefined;
    } catch (error) {
      this.isNoticed = true;
      throw error;
    }
    this.isNoticed = true;
    return AGAIN_MS;
  }

  private isLookDue(now: number): boolean {
    const everyMs = this.options.lookMs ?? (this.options.isNotified() ? NOTIFIED_LOOK_MS : LOOK_MS);
    if (now - this.lookedAt < everyMs - LOOK_MS / 2) return false;
    return [...this.options.executor.runs].some(({ durationMs }) => durationMs > LOOK_MS / 2);
  }
}
