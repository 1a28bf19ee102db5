import { type Deferred, deferred } from '../../support/deferred';
import type { RestartReason, SlotStatus } from '../status';
import { type RestartOptions, RestartPolicy } from './restart-policy';
import type { WorkerHandle } from './worker-handle';

/** A worker's place in the tree, which outlives its processes. */
export class Slot {
  /** The worker that belongs here now, from its fork to its exit. */
  handle: WorkerHandle | undefined;
  /** The worker being replaced: it serves until its successor is ready, then drains. */
  outgoing: WorkerHandle | undefined;
  /** Settles when the replacement that is under way is over. */
  replacing: Promise<unknown> | undefined;
  readonly restarts: Partial<Record<RestartReason, number>> = {};
  readonly policy: RestartPolicy;
  forking: Deferred<WorkerHandle> | undefined;

  constructor(
    readonly index: number,
    restarts: RestartOptions,
  ) {
    this.policy = new RestartPolicy(restarts);
  }

  get handles(): WorkerHandle[] {
    return [this.handle, this.outgoing].filter((handle) => handle !== undefined);
  }

  count(reason: RestartReason): void {
    this.restarts[reason] = (this.restarts[reason] ?? 0) + 1;
  }

  treeStatus(): SlotStatus {
    const drains = this.handles.find((handle) => handle.state === 'draining');
    return {
      index: this.index,
      lastTermination: this.policy.last,
      nextRestart: this.policy.next,
      drainUntil: drains?.drainUntil?.toISOString() ?? null,
      outgoing: this.outgoing?.pid ?? null,
    };
  }

  expect(): Promise<WorkerHandle> {
    this.forking = deferred();
    return this.forking.promise;
  }
}
