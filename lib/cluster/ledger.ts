import { type RequestCounts, sumByKey, sumRequests } from '../core/request-counts';
import type { RestartReason, Slot } from './slot';
import type { TreeTotals } from './stats';
import type { WorkerHandle } from './worker-handle';

/** What workers have counted in all, those that are gone included: whoever dies or is scaled away, no sum goes back. */
export class Ledger {
  private readonly living = new Set<WorkerHandle>();
  private requestsOfGone: RequestCounts = sumRequests([]);
  private cpuOfGone: Readonly<Record<string, number>> = {};
  private restartsOfGone: TreeTotals['worker_restarts'] = {};

  openWorker(handle: WorkerHandle): void {
    this.living.add(handle);
  }

  /** It has exited. What it counted after its last heartbeat, nobody knows. */
  closeWorker(handle: WorkerHandle): void {
    this.living.delete(handle);
    const { slot, status } = handle;
    if (!status) return;
    this.requestsOfGone = sumRequests([this.requestsOfGone, status.requests]);
    this.cpuOfGone = sumByKey([this.cpuOfGone, { [processName(slot)]: status.cpuSeconds }]);
  }

  /** It was scaled away. */
  closeSlot({ restarts }: Slot): void {
    this.restartsOfGone = sumByKey([this.restartsOfGone, restarts]);
  }

  totals(slots: readonly Slot[]): TreeTotals {
    const told = [...this.living].flatMap(({ slot, status }) => (status ? [{ slot, status }] : []));
    const restarts: Partial<Record<RestartReason, number>> = sumByKey([
      this.restartsOfGone,
      ...slots.map((slot) => slot.restarts),
    ]);
    return {
      requests: sumRequests([this.requestsOfGone, ...told.map(({ status }) => status.requests)]),
      worker_restarts: restarts,
      cpu_seconds: sumByKey([
        this.cpuOfGone,
        ...told.map(({ slot, status }) => ({ [processName(slot)]: status.cpuSeconds })),
      ]),
    };
  }
}

function processName(slot: number): string {
  return `web.${slot}`;
}
