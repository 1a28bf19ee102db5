import { deferred } from '../../lib/support/deferred';

/** Holds every caller of `pass` until it is opened, and counts those that it holds. */
export class Gate {
  private round = { opened: deferred(), held: 0 };

  get held(): number {
    return this.round.held;
  }

  async pass(signal?: AbortSignal): Promise<void> {
    const { round } = this;
    round.held++;
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    try {
      await Promise.race([round.opened.promise, aborted]);
    } finally {
      round.held--;
    }
  }

  open(): void {
    this.round.opened.resolve();
  }

  /** Releases those that are held, and begins to hold new ones. */
  close(): void {
    this.open();
    this.round = { opened: deferred(), held: 0 };
  }
}
