import throng from 'throng';

export interface ThrongOptions {
  readonly count: number;
  /** throng's own force-exit, ms after a signal: a backstop behind our deadline. */
  readonly graceMs: number;
}

/**
 * In the primary: throng forks the workers and relays signals to them. Its `lifetime` turns its reviving off (no
 * back-off, no slots, and blind to a worker that dies without `disconnect`): that is `Workers`' task. It is counted on
 * the wall clock, which may be set back: with 0 throng would revive until the clock is where it was.
 *
 * In a worker throng would call a function and nothing else: `boot` does that, and spares each the 20 ms and 4 MB of
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
