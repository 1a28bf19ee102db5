import type { Run } from './run';

/** How long a handler may take to heed its aborted signal before it is told of as overdue, ms. */
const OVERDUE_MS = 10_000;

/** A run took longer than its class's `timeout`. Its `cause` is what the handler then rejected with. */
export class JobTimeoutError extends Error {
  override readonly name = 'JobTimeoutError';

  constructor(
    readonly jobName: string,
    readonly timeoutMs: number,
  ) {
    super(`${jobName} did not end within its timeout of ${timeoutMs} ms`);
  }
}

/**
 * Aborts the run when its time is up. It is left to the handler to end: until then its slot is kept.
 * @param onOverdue called once, when the handler goes on all the same.
 * @returns a function that ends the watch.
 */
export function watchTimeout(run: Run, timeoutMs: number, onOverdue: () => void, overdueMs = OVERDUE_MS): () => void {
  let timer = setTimeout(() => {
    run.abort(new JobTimeoutError(run.class, timeoutMs));
    timer = setTimeout(onOverdue, overdueMs);
  }, timeoutMs);
  return () => clearTimeout(timer);
}
