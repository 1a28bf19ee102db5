import { AsyncLocalStorage } from 'node:async_hooks';

/** The app's own attributes of a request or job, such as a tenant, a plan or a trace. */
export type Attributes = { readonly [name: string]: JsonValue };

/** The request or job that code runs for. It follows every await, and is added to log lines and enqueued jobs. */
export interface ExecutionContext {
  /** Id of the request, or of that which enqueued the job. */
  readonly requestId?: string;
  /** The job's UUID; undefined outside of jobs. */
  readonly jobId?: string;
  /** Name of the job's class; undefined outside of jobs. */
  readonly jobClass?: string;
  /** 1 for the first run of a job. */
  readonly attempt?: number;
  /** Locale of the request's client, in which mails are written. */
  readonly locale?: string;
  /** The request's statements so far; undefined outside of requests. */
  readonly sql?: {
    /** Their number. */
    count: number;
    /** The sum of their times, ms. */
    ms: number;
  };
  /** See `withAttributes`. */
  readonly attributes?: Attributes;
}

const storage = new AsyncLocalStorage<ExecutionContext>();

/** @returns the context of the running request or job; empty outside of one. */
export function currentContext(): ExecutionContext {
  return storage.getStore() ?? {};
}

/** Runs `work` with the current context, overridden by `context`. */
export function runInContext<T>(context: ExecutionContext, work: () => T): T {
  // Object.assign, since two spreads would make a hidden class for each job and request.
  return storage.run(Object.assign({}, currentContext(), context), work);
}

/**
 * Runs `work` with these attributes added to the current ones. `currentContext().attributes` has them, and log lines show them.
 * Jobs that `work` enqueues run with them, and so do the jobs that those enqueue. They must be JSON.
 */
export function withAttributes<T>(attributes: Attributes, work: () => T): T {
  return runInContext({ attributes: { ...currentContext().attributes, ...attributes } }, work);
}

/** A value that JSON carries without loss. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
