import { type Deferred, deferred } from '../../lib/support/deferred';

/** Holds whoever comes through until it is opened, and tells how many are held. */
export class Gate {
  private opened: Deferred = deferred();
  held = 0;

  async pass(signal?: AbortSignal): Promise<void> {
    this.held++;
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    try {
      await Promise.race([this.opened.promise, aborted]);
    } finally {
      this.held--;
    }
  }

  open(): void {
    this.opened.resolve();
  }

  close(): void {
    this.open();
    this.opened = deferred();
    this.held = 0;
  }
}
