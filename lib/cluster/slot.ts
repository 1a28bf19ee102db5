import { type Deferred, deferred } from '../support/deferred';
import { Respawn, type RespawnOptions } from './respawn';
import type { Death, NextTry, SlotPicture } from './tree-picture';
import type { WorkerHandle } from './worker-handle';

/** Why a slot got another worker. */
export type RestartReason = 'crash' | 'boot' | 'timeout' | 'phase' | 'memory' | 'asked';

/** A worker's place, kept by its successors. */
export class Slot {
  /** The worker that belongs here now, from its fork to its exit. */
  handle: WorkerHandle | undefined;
  /** The one it replaces: serves on until its successor is ready, then drains. */
  outgoing: WorkerHandle | undefined;
  /** Deaths before ready, in a row. */
  bootDeaths = 0;
  readonly restarts: Partial<Record<RestartReason, number>> = {};
  /** How the last one that died here did so. */
  death: Death | null = null;
  nextTry: NextTry | null = null;
  readonly respawn: Respawn;
  /** Set while a fork for this slot is on its way. */
  forking: Deferred<WorkerHandle> | undefined;

  constructor(
    readonly index: number,
    respawn: RespawnOptions,
  ) {
    this.respawn = new Respawn(respawn);
  }

  get handles(): WorkerHandle[] {
    return [this.handle, this.outgoing].filter((handle) => handle !== undefined);
  }

  count(reason: RestartReason): void {
    this.restarts[reason] = (this.restarts[reason] ?? 0) + 1;
  }

  picture(): SlotPicture {
    const drains = this.handles.find((handle) => handle.state === 'draining');
    return {
      index: this.index,
      death: this.death,
      nextTry: this.nextTry,
      drainUntil: drains?.drainUntil?.toISOString() ?? null,
      outgoing: this.outgoing?.pid ?? null,
    };
  }

  /** The worker that the next fork brings. */
  expect(): Promise<WorkerHandle> {
    this.forking = deferred();
    return this.forking.promise;
  }
}
