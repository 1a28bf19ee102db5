import type { EnqueuedJob, EnqueueRequest } from './enqueue/request';
import type { JobContext } from './job-class';
import type { JsonValue } from './record/json';

/** Around every enqueue. Calls `next` once, with the request or a changed copy of it; not calling it enqueues nothing. */
export type EnqueueMiddleware = (
  request: EnqueueRequest,
  next: (request: EnqueueRequest) => Promise<EnqueuedJob>,
) => Promise<EnqueuedJob>;

/** One run of a job, as middleware sees it. */
export interface JobRun extends JobContext {
  /** As `perform` gets them. */
  readonly args: readonly unknown[];
}

/** Around every run. Must await `next`; what it throws is the run's failure. */
export type PerformMiddleware = (run: JobRun, next: () => Promise<void>) => Promise<void>;

/** What went wrong, for an error tracker. */
export interface ErrorReport {
  readonly kind: 'retrying' | 'dead' | 'discarded' | 'relay' | 'redis' | 'postgres' | 'cron' | 'process';
  readonly error: Error;
  /** Of the job; absent where no single job is meant. */
  readonly class?: string;
  readonly id?: string;
  readonly queue?: string;
  readonly attempt?: number;
  /** Filtered: what the app's filters name is hidden. */
  readonly args?: readonly JsonValue[];
  readonly requestId?: string;
  /** What was being done, where no job was. */
  readonly during?: string;
}

/** Turns instances of a class of the app's into JSON and back. */
export interface ArgumentSerializer<T = unknown> {
  /** Travels; never to be changed while jobs are on their way. */
  readonly name: string;
  matches(value: unknown): value is T;
  serialize(value: T): JsonValue;
  deserialize(json: JsonValue): T | Promise<T>;
}

/** What an app adds to its job layer: the default export of `defineApp({ jobSetup: () => import('./job-setup') })`. */
export interface JobSetup {
  /** Outermost first. */
  readonly enqueueMiddleware?: readonly EnqueueMiddleware[];
  /** Outermost first. */
  readonly performMiddleware?: readonly PerformMiddleware[];
  /** Told of every failure. One that throws or rejects is itself logged, and disturbs nobody. */
  readonly reportError?: (report: ErrorReport) => unknown;
  readonly serializers?: readonly ArgumentSerializer[];
  /** Keys whose values logs, reports and the operator's pages hide, besides the usual ones (password, token, secret …). */
  readonly filterArguments?: readonly (string | RegExp)[];
}
