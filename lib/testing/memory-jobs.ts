import type { BatchStore } from '../job/definition/batch';
import type { CancelCounts, EnqueuedJob, EnqueueRequest } from '../job/definition/job-class';
import { checkQueue } from '../job/definition/options';
import type { Enqueuer } from '../job/enqueue/connection';
import { allEnqueued } from '../job/enqueue/enqueue';
import { type CancelChoice, REPLACED } from '../job/row/cancel';
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
  private readonly claims = new Claims(this.jobLog);
  private readonly memoryBatches = new MemoryBatches(
    this.jobLog,
    (request, batchId) => this.enqueueOne(request, batchId),
    (batch, reason) => this.cancel({ batch }, reason),
  );

  constructor(readonly dependencies: TestDependencies) {
    this.runs = new TestRuns(dependencies);
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    for (const request of requests) checkQueue(request);
    const enqueued: (EnqueuedJob | Error)[] = [];
    for (const request of requests) enqueued.push(await this.enqueueOne(request, request.batchId).catch(toError));
    return allEnqueued(enqueued);
  }

  async cancel(choice: CancelChoice, reason: string): Promise<CancelCounts> {
    const trx = currentTransaction();
    const isMeant = ({ request, batchId }: LoggedJob) => {
      if ('id' in choice) return request.id === choice.id.toLowerCase();
      const { class: name = request.name, tag, batch = batchId } = choice;
      return request.name === name && batchId === batch && (tag === undefined || request.tags.includes(tag));
    };
    // A job that is not committed is seen within its transaction only.
    const waiting = this.jobLog.in(trx ? ['pending', 'enqueued'] : ['enqueued']).filter(isMeant);
    const performing = this.jobLog.in(['performing']).filter(isMeant);
    for (const entry of waiting) {
      const restore = leave(entry);
      if (trx) void onOutcome(trx, (committed) => committed || restore());
    }
    for (const entry of performing) {
      if (entry.cancelReason === undefined || entry.cancelReason === REPLACED) entry.cancelReason = reason;
      entry.cancel?.(entry.cancelReason);
    }
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
      const isEligible = (entry: LoggedJob) => wanted(entry) && isDue(entry, options) && !this.isBehind(entry);
      const round = this.jobLog.in(['enqueued'], since).filter(isEligible).sort(byTurn);
      if (round.length === 0) return;
      for (const entry of round) {
        count += 1;
        if (count > MAX_RUNS) throw endless(entry);
        // Another job of this round may already have performed it, or be before it in its order.
        if (entry.state === 'enqueued' && !this.isBehind(entry))
          await this.performAndSettle(entry, () => this.performOne(entry, options));
      }
    }
  }

  clear(): void {
    this.jobLog.clear();
    this.memoryBatches.clear();
  }

  protected abstract performOne(entry: LoggedJob, options: PerformOptions): Promise<void>;

  /** Called once the job counts as enqueued. */
  protected abstract accept(entry: LoggedJob): Promise<void>;

  private async enqueueOne(request: EnqueueRequest, batchId: string | undefined): Promise<EnqueuedJob> {
    const { id, runAt, unique } = request;
    const holder = this.claims.holderOf(request);
    const throttledUntil = this.claims.throttledUntil(request);
    if (holder && unique?.onConflict === 'discard')
      return { id: holder.request.id, enqueued: false, reason: 'duplicate' };
    if (unique?.isThrottled && throttledUntil > Date.now()) return { id, enqueued: false, reason: 'throttled' };
    // It has the id of one that waits, and its place if both may run at once.
    const replaced = holder && holder.state !== 'performing' ? holder : undefined;
    const entry = new LoggedJob({ ...request, id: replaced?.request.id ?? id }, this.dependencies.keys, batchId);
    if (batchId !== undefined) this.memoryBatches.requireOpen(batchId);
    if (replaced && !runAt)
      Object.assign(entry, { dueAt: Math.min(entry.dueAt, replaced.dueAt), place: replaced.place });
    entry.dueAt = Math.max(entry.dueAt, throttledUntil);
    this.claims.give(entry, replaced);
    if (holder) entry.undo = replaced ? leave(replaced) : overtake(holder);
    this.jobLog.add(entry);
    try {
      await this.acceptAtCommit(entry);
    } catch (thrown) {
      if (entry.state === 'pending') this.jobLog.remove(entry);
      throw thrown;
    }
    if (replaced?.batchId !== undefined) await this.memoryBatches.settle();
    return { id: entry.request.id, enqueued: true, ...(replaced && { replaced: true }) };
  }

  private async acceptAtCommit(entry: LoggedJob): Promise<void> {
    const trx = entry.request.trx ?? currentTransaction();
    if (!trx) return this.accept(entry);
    await onOutcome(trx, (committed) => {
      if (committed) return entry.state === 'pending' ? this.accept(entry) : undefined;
      this.jobLog.remove(entry);
      return entry.undo?.();
    });
  }

  /** Performs a job of a batch; then the batch may have ended. */
  protected async performAndSettle(entry: LoggedJob, perform: () => Promise<void>): Promise<void> {
    try {
      await perform();
    } finally {
      if (entry.batchId !== undefined) await this.memoryBatches.settle();
    }
  }

  /** true: a job of its key has begun that runs again before it, since they run in order. */
  private isBehind(entry: LoggedJob): boolean {
    const { inOrderOf } = entry;
    if (inOrderOf === undefined || entry.runs > 0) return false;
    return this.jobLog.in(['enqueued']).some((other) => other.inOrderOf === inOrderOf && other.runs > 0);
  }
}

/** A job that waits leaves. @returns what undoes that. */
function leave(entry: LoggedJob): () => void {
  const { state, holdsUntil } = entry;
  Object.assign(entry, { state: 'left', holdsUntil: undefined });
  return () => void Object.assign(entry, { state, holdsUntil });
}

/** A later job takes the key of this one, which runs: it runs no more after this. @returns what undoes that. */
function overtake(entry: LoggedJob): () => void {
  const { cancelReason = REPLACED, holdsUntil } = entry;
  const undo = { cancelReason: entry.cancelReason, holdsUntil };
  Object.assign(entry, { cancelReason, holdsUntil: undefined });
  return () => void Object.assign(entry, undo);
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

/** Orders jobs that have not run yet first, then by priority, then by due time, then as they were enqueued. */
function byTurn(one: LoggedJob, other: LoggedJob): number {
  const { priority = 0 } = one.request;
  return (
    one.runs - other.runs ||
    priority - (other.request.priority ?? 0) ||
    one.dueAt - other.dueAt ||
    one.place - other.place
  );
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
      entry.holdsUntil = undefined;
    }
    if (outcome === 'retrying' || outcome === 'dead') throw entry.error;
  }
}
