import throng from 'throng';

export interface ThrongOptions {
  readonly count: number;
  /** throng's own limit before it exits forcibly, ms after a signal: a backstop behind our deadline. */
  readonly graceMs: number;
}

/**
 * In the primary: throng forks the workers and relays signals to them. Its restarts are turned off, since they have no
 * backoff and no slots, and miss a worker that dies without `disconnect`: `WorkerPool` does that. `lifetime` is
 * compared with the wall clock: with 0 throng would restart workers while the clock is set back, with -Infinity never.
 * Workers do not run throng, which would only call a function: `boot` does that, and saves each the 20 ms and 4 MB of
 * throng's lodash.
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
