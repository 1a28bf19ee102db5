import type { EventName, Events } from '../../core/events';

/** Counts the runs of this process since the last time it was asked. */
export class WorkCount {
  private processed = 0;
  private failed = 0;

  /** @returns a function that ends it. */
  listen(events: Events): () => void {
    return events.onAny((name) => this.hear(name));
  }

  /** Starts anew. */
  take(): { readonly processed: number; readonly failed: number } {
    const { processed, failed } = this;
    this.processed = this.failed = 0;
    return { processed, failed };
  }

  private hear(name: EventName): void {
    if (name === 'job.succeeded') this.processed++;
    else if (name === 'job.retrying' || name === 'job.dead') this.failed++;
  }
}
