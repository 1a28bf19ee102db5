import type { WorkerQueue } from './worker-queue';

/** How long one peek blocks, s. Needs less than a connection's patience. */
const BLOCK_S = 10;

/**
 * Waits for a job without taking it: moving the tail of the list onto itself changes nothing, but blocks until there is
 * one. So whatever fills the list wakes us: plain producers, raised delayed jobs, rescues. Needs Redis 6.2.
 * Never to be armed on a paused queue: it would return at once, for ever.
 */
export class Peek {
  private armed = false;

  constructor(
    private readonly queue: WorkerQueue,
    private readonly onJob: () => void,
  ) {}

  arm(): void {
    const { blocking } = this.queue;
    if (this.armed || !blocking?.ready || this.queue.paused) return;
    this.armed = true;
    const key = this.queue.toKey('waiting');
    blocking.send('blmove', [key, key, 'RIGHT', 'RIGHT', BLOCK_S]).then(
      (id) => {
        this.armed = false;
        if (id !== null) this.onJob();
      },
      () => {
        // The connection was lost. The poll arms it again.
        this.armed = false;
      },
    );
  }
}
