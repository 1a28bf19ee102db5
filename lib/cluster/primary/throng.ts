import throng from 'throng';

export interface ThrongOptions {
  readonly count: number;
  /** The time after a signal at which throng exits by force, ms: a backstop after our own deadline. */
  readonly graceMs: number;
}

/**
 * In the primary: throng forks the first workers and relays signals to them. It is a given of the project. Its restarts are
 * turned off: they have no backoff and no slots, and miss a worker that dies without `disconnect`. `WorkerPool` restarts
 * workers instead.
 *
 * `lifetime` is compared with the wall clock. With 0 throng would restart workers after the clock was set back; with -Infinity
 * it never does.
 *
 * Workers do not load throng, which would only call a function there. `boot` calls that function itself, and saves each worker
 * the 20 ms and 4 MB of throng's lodash.
 */
export function forkWorkers({ count, graceMs }: ThrongOptions): Promise<void> {
  return throng({
    count,
    grace: graceMs,
    lifetime: Number.NEGATIVE_INFINITY,
    master: () => undefined,
    worker: () => undefined,
  });
}
