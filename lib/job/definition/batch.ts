import { isUuid } from '../../support/uuid';
import type { CancelCounts, EnqueueRequest, PreparedJob } from './job-class';

/** A batch, or an object with its id. */
export interface BatchRef {
  /** A UUID. */
  readonly id: string;
}

/** Options of a batch. The callbacks are jobs, as `prepare` returns them; each is enqueued once. */
export interface BatchOptions {
  /** Enqueued when no job of the batch is left and none is dead. Also when the last dead one was retried and is done. */
  readonly onSuccess?: PreparedJob | undefined;
  /** Enqueued when no job of the batch is left for the first time, although some may be dead. */
  readonly onComplete?: PreparedJob | undefined;
  /** Enqueued when the first job of the batch dies. */
  readonly onDeath?: PreparedJob | undefined;
  /** One line for operators, of at most 200 characters. Default none. */
  readonly description?: string | undefined;
  /** Labels of the batch for operators; its jobs have their own. */
  readonly tags?: readonly string[] | undefined;
  /** The batch that this one is a part of: it waits for this one and its callbacks. */
  readonly parent?: BatchRef | undefined;
}

/** When a callback of a batch is called. */
export type BatchEvent = 'success' | 'complete' | 'death';

/**
 * filling: jobs may still be added before it ends. running: it has jobs left. completed: none is left, but some are dead.
 * succeeded, cancelled: it has ended.
 */
export type BatchState = 'filling' | 'running' | 'completed' | 'succeeded' | 'cancelled';

/** A batch in numbers. */
export interface BatchStatus {
  /** A UUID. */
  readonly id: string;
  /** The batch around it. */
  readonly parentId: string | undefined;
  /** As given; '' without one. */
  readonly description: string;
  /** As given. */
  readonly tags: readonly string[];
  /** How far it is. */
  readonly state: BatchState;
  /** Jobs that were added, those of nested batches not counted. */
  readonly total: number;
  /** Jobs that wait or run. */
  readonly pending: number;
  /** Jobs that are dead. */
  readonly dead: number;
  /** All others: they are done, discarded, cancelled, expired or were deleted. */
  readonly done: number;
  /** By the clock of Postgres, as the other times. */
  readonly createdAt: Date;
  /** When no job was left for the first time. */
  readonly completedAt: Date | undefined;
  /** When it succeeded or was cancelled. */
  readonly endedAt: Date | undefined;
}

/** The batch has ended, or does not exist, so that nothing can be added to it. */
export class BatchEndedError extends Error {
  override readonly name = 'BatchEndedError';

  constructor(
    /** The id of the batch. */
    readonly batchId: string,
  ) {
    super(`the batch ${batchId} has ended, or there is none: no job can be added to it`);
  }
}

const DESCRIPTION = /^[^\p{Cc}\p{Cs}]{0,200}$/u;

/** @throws TypeError for anything but one line of text. */
export function checkDescription(description: unknown): string {
  if (typeof description === 'string' && DESCRIPTION.test(description)) return description;
  throw new TypeError(
    `Batch.create: description is ${JSON.stringify(description)}; give one line of at most 200 characters`,
  );
}

/** @throws TypeError for anything but the id of a batch. */
export function checkBatchId(id: unknown, caller: string): string {
  if (typeof id === 'string' && isUuid(id)) return id.toLowerCase();
  throw new TypeError(`${caller}: the batch is ${JSON.stringify(id)}; give the id of a batch`);
}

/** A batch that is to be created; its callbacks are in a form that its store understands. */
export interface NewBatch<Callback> {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly description: string;
  readonly tags: readonly string[];
  readonly callbacks: Readonly<Partial<Record<BatchEvent, Callback>>>;
}

/** Where batches are kept: Postgres, or memory in tests. Within a transaction, what it does belongs to it. */
export interface BatchStore {
  /** @throws BatchEndedError if its parent has ended. */
  create(batch: NewBatch<EnqueueRequest>): Promise<void>;
  /** Ends the filling: from now on the batch ends when no job is left. Idempotent. */
  seal(id: string): Promise<void>;
  /** @returns undefined if there is no such batch. */
  status(id: string): Promise<BatchStatus | undefined>;
  /** Ends the batch, and those within, without callbacks, and cancels their jobs. @param reason '' for none. */
  cancel(id: string, reason: string): Promise<CancelCounts>;
  /** Puts the dead jobs of the batch back on their queues. @returns how many. */
  retryDead(id: string): Promise<number>;
}
