import { AsyncLocalStorage } from 'node:async_hooks';

/** What the app says of the work at hand: a tenant, a plan, a trace. */
export type Attributes = { readonly [name: string]: JsonValue };

/** What the code at hand is being run for. Follows every await; written into log lines and into enqueued jobs. */
export interface ExecutionContext {
  readonly requestId?: string;
  readonly jobId?: string;
  readonly jobClass?: string;
  /** 1 for the first run of a job. */
  readonly attempt?: number;
  readonly locale?: string;
  /** See `withAttributes`. */
  readonly attributes?: Attributes;
}

const storage = new AsyncLocalStorage<ExecutionContext>();

/** The context of the running request or job; empty outside one. */
export function currentContext(): ExecutionContext {
  return storage.getStore() ?? {};
}

/** Runs `work` with `context` laid over the current one. */
export function runInContext<T>(context: ExecutionContext, work: () => T): T {
  // Once a job and a request: two spreads would cost a hidden class each time.
  return storage.run(Object.assign({}, currentContext(), context), work);
}

/**
 * Runs `work` with these attributes beside those there are: `currentContext().attributes` has them, log lines show them,
 * and jobs enqueued meanwhile run with them, as do the jobs that those enqueue. They must be JSON.
 */
export function withAttributes<T>(attributes: Attributes, work: () => T): T {
  return runInContext({ attributes: { ...currentContext().attributes, ...attributes } }, work);
}

/** What JSON carries without loss. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
