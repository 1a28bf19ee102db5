import type { LedgerEntry } from './ledger';
import { MemoryJobs } from './memory-jobs';

/** Performs jobs in the caller's time. */
export class InlineJobs extends MemoryJobs {
  readonly name = 'inline';

  /** Nothing waits here. */
  async perform(): Promise<void> {}

  protected async accept(entry: LedgerEntry): Promise<void> {
    const outcome = await this.runs.run(entry);
    if (outcome === 'retrying') {
      entry.state = 'failed';
      this.claims.release(entry.request.id);
    }
    if (outcome === 'retrying' || outcome === 'dead') throw entry.error;
  }
}
