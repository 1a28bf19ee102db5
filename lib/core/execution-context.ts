import { AsyncLocalStorage } from 'node:async_hooks';

/** What the code at hand is being run for. Follows every await; written into log lines and into enqueued jobs. */
export interface ExecutionContext {
  readonly requestId?: string;
  readonly jobId?: string;
  readonly jobClass?: string;
  /** 1 for the first run of a job. */
  readonly attempt?: number;
  readonly locale?: string;
}

const storage = new AsyncLocalStorage<ExecutionContext>();

/** The context of the running request or job; empty outside one. */
export function currentContext(): ExecutionContext {
  return storage.getStore() ?? {};
}

/** Runs `work` with `context` laid over the current one. */
export function runInContext<T>(context: ExecutionContext, work: () => T): T {
  return storage.run({ ...currentContext(), ...context }, work);
}
