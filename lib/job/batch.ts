import { currentTransaction } from '../model/transaction';
import { timeOrderedUuid } from '../support/uuid';
import {
  type BatchEvent,
  type BatchOptions,
  type BatchStatus,
  checkBatchId,
  checkDescription,
} from './definition/batch';
import { checkReason } from './definition/cancel-options';
import type { CancelCounts, CancelOptions, EnqueueRequest, PreparedJob } from './definition/job-class';
import { connection } from './enqueue/connection';
import { enqueueJobs } from './enqueue/enqueue';
import { buildRequests, checkTag } from './enqueue/request';

/** Jobs that are enqueued at once while a batch is filled. */
const FLUSHED = 1000;

/**
 * Jobs that belong together, and what to enqueue when all of them have ended. It needs no process that waits: whichever process
 * ends the last job enqueues the callbacks, each once.
 */
export class Batch {
  /** Jobs that were added and not enqueued yet; undefined: jobs are enqueued at once. */
  private waiting: PreparedJob[] | undefined;
  /** The transaction in which it is filled. */
  private filledIn: ReturnType<typeof currentTransaction>;
  /** Of a flush: jobs that seemed to be added were not, even if the code that fills has caught it. */
  private failure: { readonly error: unknown } | undefined;

  private constructor(
    /** The id of the batch, a UUID. */
    readonly id: string,
  ) {}

  /**
   * Creates a batch, and fills it: `Batch.create({ onSuccess: ReportJob.prepare(7) }, (batch) => batch.add(…))`. Inside a
   * transaction all of it belongs to that. Otherwise jobs are enqueued a thousand at a time, and may run while others are added.
   * A batch without jobs succeeds at once.
   * @param fill adds jobs. If it rejects, the batch is cancelled, and so is what it has enqueued.
   * @throws TypeError for invalid options; BatchEndedError if the parent has ended; errors of `fill`.
   */
  static async create(options: BatchOptions, fill: (batch: Batch) => unknown): Promise<Batch> {
    const caller = 'Batch.create';
    const batches = await connection(caller).enqueuer.batches();
    const { description = '', tags = [], parent } = options;
    for (const tag of tags) checkTag(caller, tag);
    const batch = new Batch(timeOrderedUuid());
    await batches.create({
      id: batch.id,
      parentId: parent && checkBatchId(parent.id, `${caller}, parent`),
      description: checkDescription(description),
      tags,
      callbacks: batch.callbacks(options),
    });
    batch.waiting = [];
    batch.filledIn = currentTransaction();
    try {
      await fill(batch);
      await batch.flush();
      if (batch.failure) throw batch.failure.error;
    } catch (thrown) {
      // In a transaction that has failed, the rollback takes it back.
      await batches.cancel(batch.id, 'it could not be filled').catch(() => undefined);
      throw thrown;
    } finally {
      batch.waiting = undefined;
    }
    await batches.seal(batch.id);
    return batch;
  }

  /** @returns the batch with this id, which is not looked up. @throws TypeError for what is no UUID. */
  static of(id: string): Batch {
    return new Batch(checkBatchId(id, 'Batch.of'));
  }

  /**
   * Adds jobs, as `prepare` returns them: `batch.add(ImportJob.prepare('a.csv'), ImportJob.prepare('b.csv'))`. A duplicate of a
   * unique job is not added. While `create` fills the batch, they are enqueued a thousand at a time, the last ones at its end.
   * @throws BatchEndedError when the batch has ended; the errors of `performAllLater`.
   */
  async add(...jobs: readonly PreparedJob[]): Promise<void> {
    // What is added within a transaction of its own belongs to that, and nothing else does.
    if (!this.waiting || currentTransaction() !== this.filledIn) return this.enqueue(jobs);
    for (const job of jobs) {
      this.waiting.push(job);
      if (this.waiting.length >= FLUSHED) await this.flush();
    }
  }

  /** Says that nothing will be added from outside, so that the batch may end. `create` does it. Idempotent. */
  async seal(): Promise<void> {
    await (await connection('Batch.seal').enqueuer.batches()).seal(this.id);
  }

  /** @returns undefined if there is no such batch, or it ended more than a week ago. */
  async status(): Promise<BatchStatus | undefined> {
    return (await connection('Batch.status').enqueuer.batches()).status(this.id);
  }

  /**
   * Ends the batch, and batches within it, without callbacks. Its jobs are cancelled as by `Job.cancel`.
   * @returns how many. @throws TypeError for an invalid reason.
   */
  async cancel({ reason }: CancelOptions = {}): Promise<CancelCounts> {
    return (await connection('Batch.cancel').enqueuer.batches()).cancel(this.id, checkReason(reason));
  }

  /** Puts its dead jobs back on their queues, with all their attempts. @returns how many. */
  async retryDead(): Promise<number> {
    return (await connection('Batch.retryDead').enqueuer.batches()).retryDead(this.id);
  }

  private async flush(): Promise<void> {
    const jobs = this.waiting?.splice(0) ?? [];
    try {
      if (jobs.length > 0) await this.enqueue(jobs);
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }

  private async enqueue(jobs: readonly PreparedJob[]): Promise<void> {
    const added = jobs.map((job) => ({ ...job, options: { ...job.options, batch: this } }));
    await enqueueJobs(added, 'Batch.add');
  }

  private callbacks({ onSuccess, onComplete, onDeath }: BatchOptions): Partial<Record<BatchEvent, EnqueueRequest>> {
    const jobs = { success: onSuccess, complete: onComplete, death: onDeath };
    const callbacks: Partial<Record<BatchEvent, EnqueueRequest>> = {};
    for (const event of ['success', 'complete', 'death'] as const) {
      const job = jobs[event];
      if (!job) continue;
      const options = { ...job.options, batch: this };
      const [request] = buildRequests([{ ...job, options }], connection('Batch.create'));
      if (request) callbacks[event] = request;
    }
    return callbacks;
  }
}
