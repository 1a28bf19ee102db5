import { isDue, matchesFilter } from './job-filter';
import type { LedgerEntry } from './ledger';
import { MemoryJobs } from './memory-jobs';
import type { PerformOptions } from './mode';

/** Runs in one `perform`: more means that jobs enqueue each other without end. */
const MAX_RUNS = 10_000;

/** Keeps jobs until the test performs them. */
export class FakeJobs extends MemoryJobs {
  readonly name = 'fake';

  async perform(options: PerformOptions, since: number): Promise<void> {
    const wanted = matchesFilter(options);
    let count = 0;
    for (;;) {
      const isEligible = (entry: LedgerEntry) => wanted(entry) && isDue(entry, options);
      const round = this.ledger.in(['enqueued'], since).filter(isEligible).sort(byTurn);
      if (round.length === 0) return;
      for (const entry of round) {
        count += 1;
        if (count > MAX_RUNS) throw endless(entry);
        // A job of this round may have performed it.
        if (entry.state === 'enqueued') await this.performOne(entry, options);
      }
    }
  }

  protected async accept(entry: LedgerEntry): Promise<void> {
    entry.state = 'enqueued';
  }

  private async performOne(entry: LedgerEntry, { retries }: PerformOptions): Promise<void> {
    const outcome = await this.runs.run(entry);
    if (outcome === 'dead' || (outcome === 'retrying' && retries === 'never')) throw entry.error;
  }
}

function endless({ request }: LedgerEntry): Error {
  return new Error(
    `performed ${MAX_RUNS} jobs, and ${request.name} is still to come: does a job enqueue itself for ever?`,
  );
}

/** What has not run yet comes first; then the sooner due; then the sooner enqueued. */
function byTurn(one: LedgerEntry, other: LedgerEntry): number {
  return one.runs - other.runs || one.dueAt - other.dueAt;
}
