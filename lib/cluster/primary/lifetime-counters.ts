import { type RequestCounts, sumByKey, sumRequests } from '../../core/request-counts';
import type { RestartReason, TreeTotals } from '../status';
import type { Slot } from './slot';
import type { WorkerHandle } from './worker-handle';

/** Counters of all workers, including those that are gone: no total decreases when a worker dies or is scaled away. */
export class LifetimeCounters {
  private readonly living = new Set<WorkerHandle>();
  private requestsOfGone: RequestCounts = sumRequests([]);
  private cpuOfGone: Readonly<Record<string, number>> = {};
  private restartsOfGone: TreeTotals['workerRestarts'] = {};

  openWorker(handle: WorkerHandle): void {
    this.living.add(handle);
  }

  /** Keeps the counters of a worker that has exited; those after its last heartbeat are lost. */
  closeWorker(handle: WorkerHandle): void {
    this.living.delete(handle);
    const { slot, status } = handle;
    if (!status) return;
    this.requestsOfGone = sumRequests([this.requestsOfGone, status.requests]);
    this.cpuOfGone = sumByKey([this.cpuOfGone, { [processName(slot)]: status.cpuSeconds }]);
  }

  /** Keeps the counters of a slot that was scaled away. */
  closeSlot({ restarts }: Slot): void {
    this.restartsOfGone = sumByKey([this.restartsOfGone, restarts]);
  }

  totals(slots: readonly Slot[]): TreeTotals {
    const reported = [...this.living].flatMap(({ slot, status }) => (status ? [{ slot, status }] : []));
    const restarts: Partial<Record<RestartReason, number>> = sumByKey([
      this.restartsOfGone,
      ...slots.map((slot) => slot.restarts),
    ]);
    return {
      requests: sumRequests([this.requestsOfGone, ...reported.map(({ status }) => status.requests)]),
      workerRestarts: restarts,
      cpuSeconds: sumByKey([
        this.cpuOfGone,
        ...reported.map(({ slot, status }) => ({ [processName(slot)]: status.cpuSeconds })),
      ]),
    };
  }
}

function processName(slot: number): string {
  return `web.${slot}`;
}
