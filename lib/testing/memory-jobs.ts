import type { BatchStore } from '../job/definition/batch';
import type { CancelCounts, EnqueuedJob, EnqueueRequest } from '../job/definition/job-class';
import { checkQueue } from '../job/definition/options';
import type { Enqueuer } from '../job/enqueue/connection';
import { allEnqueued } from '../job/enqueue/enqueue';
import type { CancelChoice } from '../job/row/cancel';
import type { EndedJob } from '../job/row/finished';
import { currentTransaction, onOutcome } from '../model/transaction';
import { toError } from '../support/to-error';
import { Claims } from './claims';
import type { PerformOptions } from './job-filter';
import { isDue, matchesFilter } from './job-filter';
import { JobLog, LoggedJob } from './job-log';
import { MemoryBatches } from './memory-batches';
import { TestRuns } from './test-runs';
import type { TestDependencies } from './use-jobs';

/**
 * Base of fake and inline jobs, which are kept in memory after the same checks as on their way to Redis and Postgres.
 */
export abstract class MemoryJobs implements Enqueuer {
  abstract readonly name: 'fake' | 'inline';
  readonly jobLog = new JobLog();
  protected readonly runs: TestRuns;
  protected readonly claims = new Claims();
  protected readonly memoryBatches = new MemoryBatches(
    this.jobLog,
    (request) => this.enqueue([request]),
    (batch, reason) => this.cancel({ batch }, reason),
    (batch) => this.retryDead(batch),
  );

  constructor(readonly dependencies: TestDependencies) {
    this.runs = new TestRuns(dependencies, this.claims);
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    for (const request of requests) checkQueue(request);
    const enqueued: (EnqueuedJob | Error)[] = [];
    for (const request of requests) enqueued.push(await this.enqueueOne(request).catch(toError));
    return allEnqueued(enqueued);
  }

  async cancel(choice: CancelChoice, reason: string): Promise<CancelCounts> {
    const trx = currentTransaction();
    const isMeant = ({ request }: LoggedJob) => {
      if ('id' in choice) return request.id === choice.id.toLowerCase();
      const { class: name = request.name, tag, batch } = choice;
      if (batch !== undefined && this.memoryBatches.batchOf(request) !== batch) return false;
      return request.name === name && (tag === undefined || request.tags.includes(tag));
    };
    // A job that is not committed is seen within its transaction only.
    const waiting = this.jobLog.in(trx ? ['pending', 'enqueued'] : ['enqueued']).filter(isMeant);
    const performing = this.jobLog.in(['performing']).filter(isMeant);
    for (const entry of waiting) {
      const isOfTransaction = entry.state === 'pending';
      entry.state = 'cancelled';
      this.takeBack(entry);
      if (trx && !isOfTransaction) void onOutcome(trx, (committed) => committed || this.restore(entry));
    }
    for (const entry of performing) this.runs.cancel(entry, reason);
    if (waiting.length > 0) await this.memoryBatches.settle();
    return { cancelled: waiting.length, requested: performing.length };
  }

  async endings(ids: readonly string[]): Promise<ReadonlyMap<string, EndedJob>> {
    const states = { pending: 'open', enqueued: 'open', performing: 'open', succeeded: 'done', dead: 'dead' } as const;
    const known = this.jobLog
      .in(Object.keys(states) as (keyof typeof states)[])
      .filter(({ request }) => ids.includes(request.id));
    return new Map(
      known.map(({ request, state, ending }) => [
        request.id,
        { state: states[state as keyof typeof states], class: request.name, ending },
      ]),
    );
  }

  async batches(): Promise<BatchStore> {
    return this.memoryBatches;
  }

  /**
   * Performs enqueued jobs, and those that they enqueue.
   * @param since a mark of the log; jobs added before it stay enqueued.
   * @throws the error of the first job that dies.
   */
  async perform(options: PerformOptions, since: number): Promise<void> {
    const wanted = matchesFilter(options);
    let count = 0;
    for (;;) {
      const isEligible = (entry: LoggedJob) => wanted(entry) && isDue(entry, options);
      const round = this.jobLog.in(['enqueued'], since).filter(isEligible).sort(byTurn);
      if (round.length === 0) return;
      for (const entry of round) {
        count += 1;
        if (count > MAX_RUNS) throw endless(entry);
        // Another job of this round may already have performed it.
        if (entry.state === 'enqueued') await this.performAndSettle(entry, () => this.performOne(entry, options));
      }
    }
  }

  /** Forgets all jobs. */
  clear(): void {
    this.jobLog.clear();
    this.claims.clear();
    this.memoryBatches.clear();
  }

  protected abstract performOne(entry: LoggedJob, options: PerformOptions): Promise<void>;

  /** Called once the job counts as enqueued. */
  protected abstract accept(entry: LoggedJob): Promise<void>;

  private async enqueueOne(request: EnqueueRequest): Promise<EnqueuedJob> {
    const { id } = request;
    const entry = new LoggedJob(request, this.dependencies.keys);
    const holder = this.claims.take(request, entry.dueAt);
    if (holder !== undefined) return { id: holder, enqueued: false, reason: 'duplicate' };
    this.memoryBatches.add(request);
    this.jobLog.add(entry);
    try {
      await this.acceptAtCommit(entry);
    } catch (thrown) {
      if (entry.state === 'pending') {
        this.memoryBatches.remove(entry.request);
        this.takeBack(entry);
      }
      throw thrown;
    }
    return { id, enqueued: true };
  }

  private async acceptAtCommit(entry: LoggedJob): Promise<void> {
    const trx = entry.request.trx ?? currentTransaction();
    if (!trx) return this.accept(entry);
    await onOutcome(trx, (committed) => {
      if (!committed) {
        this.memoryBatches.remove(entry.request);
        return this.takeBack(entry);
      }
      return entry.state === 'pending' ? this.accept(entry) : undefined;
    });
  }

  /** Performs a job of a batch; then the batch may have ended. */
  protected async performAndSettle(entry: LoggedJob, perform: () => Promise<void>): Promise<void> {
    try {
      await perform();
    } finally {
      if (entry.request.batchId !== undefined) await this.memoryBatches.settle();
    }
  }

  private retryDead(batch: string): number {
    const dead = this.jobLog.in(['dead']).filter(({ request }) => this.memoryBatches.batchOf(request) === batch);
    for (const entry of dead) Object.assign(entry, { state: 'enqueued', attempts: 0, dueAt: Date.now() });
    return dead.length;
  }

  /** Undoes a cancel whose transaction was rolled back. */
  private restore(entry: LoggedJob): void {
    entry.state = 'enqueued';
    this.jobLog.add(entry);
    this.claims.take(entry.request, entry.dueAt);
  }

  private takeBack(entry: LoggedJob): void {
    this.claims.release(entry.request.id);
    this.jobLog.remove(entry);
  }
}

/** Maximum number of runs in one `perform`. More means that jobs enqueue each other endlessly. */
const MAX_RUNS = 10_000;

/** Keeps jobs until the test performs them. */
export class FakeJobs extends MemoryJobs {
  readonly name = 'fake';

  protected async accept(entry: LoggedJob): Promise<void> {
    entry.state = 'enqueued';
  }

  protected async performOne(entry: LoggedJob, { retries }: PerformOptions): Promise<void> {
    const outcome = await this.runs.run(entry);
    if (outcome === 'dead' || (outcome === 'retrying' && retries === 'never')) throw entry.error;
  }
}

function endless({ request }: LoggedJob): Error {
  return new Error(
    `performed ${MAX_RUNS} jobs, and ${request.name} is still enqueued: does a job enqueue itself forever?`,
  );
}

/** Orders jobs that have not run yet first, then by due time, then as they were enqueued. */
function byTurn(one: LoggedJob, other: LoggedJob): number {
  return one.runs - other.runs || one.dueAt - other.dueAt;
}

/** Performs jobs at once, inside `performLater`. Only those that snooze stay enqueued. */
export class InlineJobs extends MemoryJobs {
  readonly name = 'inline';

  protected accept(entry: LoggedJob): Promise<void> {
    return this.performAndSettle(entry, () => this.performOne(entry));
  }

  protected async performOne(entry: LoggedJob): Promise<void> {
    const outcome = await this.runs.run(entry);
    if (outcome === 'retrying') {
      entry.state = 'failed';
      this.claims.release(entry.request.id);
    }
    if (outcome === 'retrying' || outcome === 'dead') throw entry.error;
  }
}
