import { toError } from '../core/errors';
import { allEnqueued } from '../job/enqueue/enqueue-error';
import { checkQueue } from '../job/enqueue/queue-check';
import type { EnqueuedJob, EnqueueRequest } from '../job/enqueue/request';
import { currentTransaction, onOutcome } from '../model/transaction';
import { Claims } from './claims';
import type { Equipment } from './equipment';
import { Ledger, LedgerEntry } from './ledger';
import type { PerformOptions, TestMode } from './mode';
import { TestRuns } from './test-run';

/** When a job that is enqueued inside a transaction counts. */
export type Commits = 'outermost' | 'immediate';

/** What fake and inline share: jobs are kept here, after the same checks as on their way to Redis and Postgres. */
export abstract class MemoryJobs implements TestMode {
  abstract readonly name: 'fake' | 'inline';
  readonly ledger = new Ledger();
  protected readonly runs: TestRuns;
  protected readonly claims = new Claims();

  constructor(
    readonly equipment: Equipment,
    private readonly commits: Commits = 'outermost',
  ) {
    this.runs = new TestRuns(equipment, this.claims);
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    for (const request of requests) checkQueue(request);
    const enqueued: (EnqueuedJob | Error)[] = [];
    for (const request of requests) enqueued.push(await this.enqueueOne(request).catch(toError));
    return allEnqueued(enqueued);
  }

  abstract perform(options: PerformOptions, since: number): Promise<void>;

  async clear(): Promise<void> {
    this.ledger.clear();
    this.claims.clear();
  }

  async close(): Promise<void> {}

  /** The job counts from now on. */
  protected abstract accept(entry: LedgerEntry): Promise<void>;

  private async enqueueOne(request: EnqueueRequest): Promise<EnqueuedJob> {
    const { id } = request;
    const entry = new LedgerEntry(request);
    const holder = this.claims.take(request, entry.dueAt);
    if (holder !== undefined) return { id: holder, enqueued: false, reason: 'duplicate' };
    this.ledger.add(entry);
    try {
      await this.acceptAtCommit(entry);
    } catch (thrown) {
      if (entry.state === 'pending') this.takeBack(entry);
      throw thrown;
    }
    return { id, enqueued: true };
  }

  private async acceptAtCommit(entry: LedgerEntry): Promise<void> {
    const trx = entry.request.trx ?? currentTransaction();
    if (!trx || this.commits === 'immediate') return this.accept(entry);
    await onOutcome(trx, (committed) => (committed ? this.accept(entry) : this.takeBack(entry)));
  }

  private takeBack(entry: LedgerEntry): void {
    this.claims.release(entry.request.id);
    this.ledger.remove(entry);
  }
}
