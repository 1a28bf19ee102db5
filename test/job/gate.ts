import { deferred } from '../../lib/support/async';

/** Holds whoever comes through until it is opened, and tells how many are held. */
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

  /** Lets those go who are held, and begins to hold anew. */
  close(): void {
    this.open();
    this.round = { opened: deferred(), held: 0 };
  }
}
