import {
  BatchEndedError,
  type BatchEvent,
  type BatchState,
  type BatchStatus,
  type BatchStore,
  type NewBatch,
} from '../job/definition/batch';
import type { CancelCounts, EnqueueRequest } from '../job/definition/job-class';
import { currentTransaction, onOutcome } from '../model/transaction';
import type { JobLog } from './job-log';

interface KeptBatch extends NewBatch<EnqueueRequest> {
  total: number;
  readonly createdAt: Date;
  isSealed: boolean;
  completedAt: Date | undefined;
  endedAt: Date | undefined;
  outcome: 'succeeded' | 'cancelled' | undefined;
  readonly told: Set<BatchEvent>;
}

/** Batches of fake and inline jobs. What is left of one is counted from the log of jobs, as Postgres counts it from the rows. */
export class MemoryBatches implements BatchStore {
  private readonly batches = new Map<string, KeptBatch>();
  /** The batch around it that a callback is a job of, by the callback's id. */
  private readonly callbacks = new Map<string, string | undefined>();

  constructor(
    private readonly jobLog: JobLog,
    private readonly enqueue: (request: EnqueueRequest) => Promise<unknown>,
    private readonly cancelJobs: (batchId: string, reason: string) => Promise<CancelCounts>,
  ) {}

  async create(batch: NewBatch<EnqueueRequest>): Promise<void> {
    if (batch.parentId !== undefined) this.requireOpen(batch.parentId);
    const isOpen = { isSealed: false, completedAt: undefined, endedAt: undefined, outcome: undefined };
    this.batches.set(batch.id, { ...batch, ...isOpen, total: 0, createdAt: new Date(), told: new Set() });
    const trx = currentTransaction();
    if (trx) onOutcome(trx, (committed) => committed || this.batches.delete(batch.id));
  }

  /** Counts a job that is added. @throws BatchEndedError. */
  add(request: EnqueueRequest): void {
    const id = this.batchOf(request);
    if (id !== undefined) this.requireOpen(id).total += 1;
  }

  /** Takes back a job whose transaction was rolled back. */
  remove(request: EnqueueRequest): void {
    const batch = this.batches.get(this.batchOf(request) ?? '');
    if (batch) batch.total -= 1;
  }

  /** @returns the batch that it is a job of. */
  batchOf({ id, batchId }: EnqueueRequest): string | undefined {
    return this.callbacks.has(id) ? this.callbacks.get(id) : batchId;
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
    const { parentId, description, tags, total, createdAt, completedAt, endedAt } = batch;
    const { pending, dead } = this.left(id);
    const done = Math.max(0, total - pending - dead);
    const state = this.state(batch, pending);
    return { id, parentId, description, tags, state, total, pending, dead, done, createdAt, completedAt, endedAt };
  }

  async cancel(id: string, reason: string): Promise<CancelCounts> {
    const batch = this.batches.get(id);
    if (!batch || batch.endedAt) return { cancelled: 0, requested: 0 };
    batch.outcome = 'cancelled';
    batch.completedAt ??= new Date();
    batch.endedAt = new Date();
    const counts = await this.cancelJobs(id, reason);
    let { cancelled, requested } = counts;
    for (const child of this.childrenOf(id)) {
      const more = await this.cancel(child.id, reason);
      cancelled += more.cancelled;
      requested += more.requested;
    }
    await this.settle();
    return { cancelled, requested };
  }

  async retryDead(id: string): Promise<number> {
    const dead = this.jobLog.in(['dead']).filter(({ request }) => this.batchOf(request) === id);
    for (const entry of dead) Object.assign(entry, { state: 'enqueued', attempts: 0, dueAt: Date.now() });
    return dead.length;
  }

  /** Enqueues the callbacks that are due. Call when a job has ended. */
  async settle(): Promise<void> {
    for (const batch of [...this.batches.values()].reverse()) {
      if (batch.endedAt) continue;
      const { pending, dead } = this.left(batch.id);
      if (dead > 0) await this.tell(batch, 'death');
      const children = this.childrenOf(batch.id);
      if (!batch.isSealed || pending > 0 || children.some(({ completedAt }) => !completedAt)) continue;
      const isSuccess = dead === 0 && children.every(({ outcome }) => outcome === 'succeeded');
      batch.completedAt ??= new Date();
      if (isSuccess) {
        batch.outcome = 'succeeded';
        batch.endedAt = new Date();
      }
      await this.tell(batch, 'complete');
      if (isSuccess) await this.tell(batch, 'success');
    }
  }

  clear(): void {
    this.batches.clear();
    this.callbacks.clear();
  }

  private async tell({ told, callbacks, parentId }: KeptBatch, event: BatchEvent): Promise<void> {
    if (told.has(event)) return;
    told.add(event);
    const request = callbacks[event];
    if (!request) return;
    const parent = parentId === undefined ? undefined : this.batches.get(parentId);
    this.callbacks.set(request.id, parent && !parent.endedAt ? parent.id : undefined);
    await this.enqueue(request);
  }

  private left(id: string) {
    const count = (states: Parameters<JobLog['in']>[0]) =>
      this.jobLog.in(states).filter(({ request }) => this.batchOf(request) === id).length;
    return { pending: count(['pending', 'enqueued', 'performing']), dead: count(['dead', 'failed']) };
  }

  private state({ outcome, isSealed, completedAt }: KeptBatch, pending: number): BatchState {
    if (outcome) return outcome;
    if (!isSealed) return 'filling';
    return completedAt && pending === 0 ? 'completed' : 'running';
  }

  private childrenOf(id: string): KeptBatch[] {
    return [...this.batches.values()].filter(({ parentId }) => parentId === id);
  }

  private requireOpen(id: string): KeptBatch {
    const batch = this.batches.get(id);
    if (!batch || batch.endedAt) throw new BatchEndedError(id);
    return batch;
  }
}
