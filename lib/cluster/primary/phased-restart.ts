import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { TreeStats } from '../status';
import type { ReplaceOrder, Slot, WorkerPool } from './worker-pool';

/** Number of failed boots after which the new code is not tried again. */
export const MOST_TRIES = 3;

/**
 * Replaces every worker, slot by slot, with code newly loaded from disk. When the new code cannot boot, the phase is
 * aborted and the remaining old workers keep serving.
 */
export class PhasedRestart {
  last: TreeStats['lastPhase'] = null;
  private running = false;

  /** @param orderFor chooses the order for each slot by the memory that is left. */
  constructor(
    private readonly workers: WorkerPool,
    private readonly events: Events,
    private readonly orderFor: (slot: Slot) => ReplaceOrder,
  ) {}

  get underWay(): boolean {
    return this.running;
  }

  /** @throws UserError with the reason when the phase is aborted, or when another is under way. */
  async run(): Promise<void> {
    if (this.running) throw new UserError('a phased restart is under way already');
    this.running = true;
    const since = performance.now();
    const before = this.workers.phase;
    const phase = before + 1;
    this.workers.phase = phase;
    this.events.emit('phase.started', { phase });
    try {
      for (const slot of [...this.workers.slots]) await this.restart(slot);
      this.last = { phase, completed: true, reason: null };
      this.events.emit('phase.completed', { phase, durationMs: Math.round(performance.now() - since) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.last = { phase, completed: false, reason };
      this.workers.phase = before;
      this.events.emit('phase.aborted', { phase, reason });
      throw error;
    } finally {
      this.running = false;
    }
  }

  /**
   * Runs the step after the workers. Its failure marks the phase incomplete; the workers keep the new code.
   * @throws as it does.
   */
  async conclude(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.last = { phase: this.workers.phase, completed: false, reason };
      throw error;
    }
  }

  private async restart(slot: Slot): Promise<void> {
    for (let tries = 1; ; tries++) {
      // The slot was scaled away, or is empty and will restart with the new code anyway.
      if (!this.workers.slots.includes(slot) || !slot.handle) return;
      const result = await this.workers.replace(slot, 'phase', this.orderFor(slot));
      if (result.replaced) return;
      // After stop-first the slot is empty and restarts with backoff: no other worker is risked for this code.
      if (tries >= MOST_TRIES || result.permanent || !slot.handle) {
        throw new UserError(`worker ${slot.index} cannot boot: ${result.reason}`);
      }
    }
  }
}
