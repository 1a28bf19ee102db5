import type { Knex } from 'knex';
import { settleBatches } from '../row/batch-settling';
import type { Announcer } from './hints';

/**
 * Enqueues the callbacks of batches that have ended, one look at a time: under load one stands for many. What
 * it cannot do now, as others have locked a batch or Postgres fails, the dispatcher does.
 */
export class BatchSettler {
  private readonly due = new Set<string>();
  private isSettling = false;

  constructor(
    private readonly knex: Knex,
    private readonly announcer: Pick<Announcer, 'announce'>,
  ) {}

  /** Call when jobs of these batches have ended or died, or they were sealed. Does not wait for it, and never throws. */
  settle(ids: Iterable<string>): void {
    for (const id of ids) this.due.add(id);
    if (!this.isSettling && this.due.size > 0) void this.settleDue();
  }

  private async settleDue(): Promise<void> {
    this.isSettling = true;
    while (this.due.size > 0) {
      const ids = [...this.due];
      this.due.clear();
      try {
        const { ready, isLookDue, error } = await settleBatches(this.knex, ids);
        this.announcer.announce(ready, isLookDue || error !== undefined);
      } catch {
        this.announcer.announce([], true);
      }
    }
    this.isSettling = false;
  }
}
