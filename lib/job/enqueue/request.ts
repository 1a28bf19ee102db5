import type { Knex } from 'knex';
import type { Attributes } from '../../core/execution-context';
import type { JobClass } from '../job-class';
import type { JsonValue } from '../record/json';
import type { RunAt } from './run-at';

/** What came of one `performLater`. */
export interface EnqueuedJob {
  /** A UUID: the job's own in Redis, in the outbox and in `this.context`; of a duplicate, that of the job it repeats. */
  readonly id: string;
  /** false: nothing was enqueued, for the `reason`. */
  readonly enqueued: boolean;
  readonly reason?: 'duplicate' | 'cancelled';
}

/** A unique job's claim: while another job holds its key, this one is a duplicate. */
export interface UniqueClaim {
  readonly key: string;
  readonly until: 'executed' | 'executing';
  /** The claim counts no longer than this, from when the job may run, ms; null: for as long as the job lives. */
  readonly ttlMs: number | null;
}

/** The context of the code that enqueues, carried into the job's own. */
export interface CarriedContext {
  readonly requestId?: string;
  readonly locale?: string;
  /** The app's own, as `withAttributes` set them. */
  readonly attributes?: Attributes;
}

export interface EnqueueRequest {
  readonly id: string;
  readonly jobClass: JobClass;
  readonly name: string;
  /** Serialised: what travels. */
  readonly args: readonly JsonValue[];
  readonly queue: string;
  readonly durable: boolean;
  /** undefined: at once. */
  readonly runAt: RunAt | undefined;
  /** The one that was given, or the ambient one. */
  readonly trx: Knex.Transaction | undefined;
  readonly unique: UniqueClaim | undefined;
  readonly tags: readonly string[];
  readonly context: CarriedContext;
}

/** Where enqueued jobs go: to Redis and Postgres, or, in tests, into memory. */
export interface Enqueuer {
  /** @returns one answer for each request, in order. @throws EnqueueError when only some could be enqueued. */
  enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]>;
  /** Told of a job that a callback or a middleware kept from being enqueued. */
  cancelled?(request: EnqueueRequest): void;
  /** Told of a job whose transaction had committed before it was enqueued, since that was not waited for. */
  late?(request: EnqueueRequest): void;
}
