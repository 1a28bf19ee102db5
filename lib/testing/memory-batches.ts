import {
  BatchEndedError,
  type BatchEvent,
  type BatchStatus,
  type BatchStore,
  type NewBatch,
} from '../job/definition/batch';
import type { CancelCounts, EnqueueRequest } from '../job/definition/job-class';
import { stateOf } from '../job/row/batch-status';
import { currentTransaction, onOutcome } from '../model/transaction';
import type { JobLog } from './job-log';

interface KeptBatch extends NewBatch<EnqueueRequest> {
  readonly createdAt: Date;
  readonly told: Set<BatchEvent>;
  isSealed?: boolean;
  completedAt?: Date;
  endedAt?: Date;
  outcome?: 'succeeded' | 'cancelled';
}

/** Batches of fake and inline jobs, which are counted in the log of jobs, as Postgres counts rows. */
export class MemoryBatches implements BatchStore {
  private readonly batches = new Map<string, KeptBatch>();

  /** @param enqueue a callback, as a job of the batch around its own. */
  constructor(
    private readonly jobLog: JobLog,
    private readonly enqueue: (request: EnqueueRequest, batchId: string | undefined) => Promise<unknown>,
    private readonly cancelJobs: (batchId: string, reason: string) => Promise<CancelCounts>,
  ) {}

  async create(batch: NewBatch<EnqueueRequest>): Promise<void> {
    if (batch.parentId !== undefined) this.requireOpen(batch.parentId);
    this.batches.set(batch.id, { ...batch, createdAt: new Date(), told: new Set() });
    const trx = currentTransaction();
    if (trx) onOutcome(trx, (committed) => committed || this.batches.delete(batch.id));
  }

  /** @throws BatchEndedError. */
  requireOpen(id: string): void {
    const batch = this.batches.get(id);
    if (!batch || batch.endedAt) throw new BatchEndedError(id);
  }

  async seal(id: string): Promise<void> {
    const batch = this.batches.get(id);
    if (batch) batch.isSealed = true;
    const trx = currentTransaction();
    if (!trx) await this.settle();
    else await onOutcome(trx, (committed) => (committed ? this.settle() : undefined));
  }

  async status(id: string): Promise<BatchStatus | undefined> {
    const batch = this.batches.get(id);
    if (!batch) return undefined;
    const { parentId, description, tags, createdAt, completedAt, endedAt, outcome = null, isSealed = false } = batch;
    const counts = this.count(id);
    const state = stateOf(outcome, isSealed, completedAt !== undefined && counts.pending === 0);
    return { id, parentId, description, tags, state, ...counts, createdAt, completedAt, endedAt };
  }

  async cancel(id: string, reason: string): Promise<CancelCounts> {
    const batch = this.batches.get(id);
    if (!batch || batch.endedAt) return { cancelled: 0, requested: 0 };
    const endedAt = new Date();
    Object.assign(batch, { completedAt: endedAt, endedAt, outcome: 'cancelled' });
    let { cancelled, requested } = await this.cancelJobs(id, reason);
    for (const child of this.childrenOf(id)) {
      const more = await this.cancel(child.id, reason);
      cancelled += more.cancelled;
      requested += more.requested;
    }
    await this.settle();
    return { cancelled, requested };
  }

  async retryDead(id: string): Promise<number> {
    const dead = this.jobLog.in(['dead']).filter(({ batchId }) => batchId === id);
    for (const entry of dead) Object.assign(entry, { state: 'enqueued', attempts: 0, dueAt: Date.now() });
    return dead.length;
  }

  /** Enqueues the callbacks that are due. Call when a job has ended. */
  async settle(): Promise<void> {
    for (const batch of [...this.batches.values()].reverse()) {
      if (batch.endedAt) continue;
      const { pending, dead } = this.count(batch.id);
      if (dead > 0) await this.tell(batch, 'death');
      const children = this.childrenOf(batch.id);
      if (!batch.isSealed || pending > 0 || children.some(({ completedAt }) => !completedAt)) continue;
      batch.completedAt ??= new Date();
      const isSuccess = dead === 0 && children.every(({ outcome }) => outcome === 'succeeded');
      if (isSuccess) Object.assign(batch, { outcome: 'succeeded', endedAt: new Date() });
      await this.tell(batch, 'complete');
      if (isSuccess) await this.tell(batch, 'success');
    }
  }

  clear(): void {
    this.batches.clear();
  }

  private async tell({ told, callbacks, parentId = '' }: KeptBatch, event: BatchEvent): Promise<void> {
    if (told.has(event)) return;
    told.add(event);
    const request = callbacks[event];
    const parent = this.batches.get(parentId);
    // The transaction in which the batch was created is over.
    if (request) await this.enqueue({ ...request, trx: undefined }, parent?.endedAt ? undefined : parent?.id);
  }

  private count(id: string): Pick<BatchStatus, 'total' | 'pending' | 'dead' | 'done'> {
    const jobs = this.jobLog.all.filter(({ batchId }) => batchId === id);
    const within = (...states: string[]) => jobs.filter(({ state }) => states.includes(state)).length;
    const [total, pending] = [jobs.length, within('pending', 'enqueued', 'performing')];
    const dead = within('dead', 'failed');
    return { total, pending, dead, done: total - pending - dead };
  }

  private childrenOf(id: string): KeptBatch[] {
    return [...this.batches.values()].filter(({ parentId }) => parentId === id);
  }
}
