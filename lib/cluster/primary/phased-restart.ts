import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { TreeStats } from '../status';
import type { Slot } from './slot';
import type { ReplaceOrder, WorkerPool } from './worker-pool';

/** Number of failed boots after which the new code is not tried again. */
export const MAX_TRIES = 3;

/**
 * Replaces every worker, slot by slot, with code newly loaded from disk. The first successor boots before any old worker
 * stops, whatever memory is left, so that a release that cannot boot changes nothing.
 */
export class PhasedRestart {
  last: TreeStats['lastPhase'] = null;
  private running = false;
  /** Number of `conclude` under way. */
  private concluding = 0;
  /** true once a successor of this phase has been ready. */
  private proven = false;

  /** @param orderFor chooses the order for each slot but the first by the memory that is left. */
  constructor(
    private readonly workers: WorkerPool,
    private readonly events: Events,
    private readonly orderFor: (slot: Slot) => ReplaceOrder,
  ) {}

  get underWay(): boolean {
    return this.running || this.concluding > 0;
  }

  /**
   * @param before awaited first; its error aborts the phase.
   * @throws UserError with the reason when the phase is aborted, or when another is under way.
   */
  async run(before: () => Promise<void> = async () => undefined): Promise<void> {
    if (this.running) throw new UserError('a phased restart is under way already');
    this.running = true;
    this.proven = false;
    const since = performance.now();
    const former = this.workers.phase;
    const phase = former + 1;
    this.events.emit('phase.started', { phase });
    try {
      await before();
      this.workers.phase = phase;
      for (const slot of [...this.workers.slots]) await this.restart(slot);
      this.last = { phase, completed: true, reason: null };
      this.events.emit('phase.completed', { phase, durationMs: Math.round(performance.now() - since) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.last = { phase, completed: false, reason };
      this.workers.phase = former;
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
    this.concluding++;
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.last = { phase: this.workers.phase, completed: false, reason };
      throw error;
    } finally {
      this.concluding--;
    }
  }

  private async restart(slot: Slot): Promise<void> {
    for (let tries = 1; ; tries++) {
      // The worker may be being replaced already, by code of before the phase, for example because of its memory.
      await slot.replacing;
      // The slot was scaled away, or is empty and will restart with the new code anyway.
      if (!this.workers.slots.includes(slot) || !slot.handle) return;
      const order = this.proven ? this.orderFor(slot) : 'start-first';
      const result = await this.workers.replace(slot, 'phase', order);
      if (result.replaced) {
        this.proven = true;
        return;
      }
      const { reason, permanent } = result;
      // After stop-first the slot is empty and restarts with backoff: no other worker is risked for this code.
      const emptied = order === 'stop-first' && !slot.handle;
      if (tries >= MAX_TRIES || permanent || emptied) {
        const end = emptied ? '. Its predecessor was stopped first, for want of memory: the slot is tried again' : '';
        throw new UserError(`worker ${slot.index} ${reason}${end}`);
      }
    }
  }
}
