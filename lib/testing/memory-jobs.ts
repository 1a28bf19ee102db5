import { AsyncResource } from 'node:async_hooks';
import { Events } from '../core/events';
import type { EnqueuedJob, EnqueueRequest } from '../job/definition/job-class';
import { checkQueue } from '../job/definition/options';
import { allEnqueued } from '../job/enqueue/enqueue';
import { JobRegistry } from '../job/job-registry';
import { MemoryCheckpointStore } from '../job/perform/checkpoint';
import { ErrorReporter } from '../job/perform/error-reporter';
import { Executor } from '../job/perform/executor';
import { deserializeArguments } from '../job/record/argument-decoder';
import { currentTransaction, onOutcome } from '../model/transaction';
import { toError } from '../support/async';
import { Claims, isDue, JobLog, LoggedJob, matchesFilter } from './job-log';
import type { JobMode, PerformOptions, TestDependencies } from './use-jobs';

/** Determines when a job that is enqueued inside a transaction counts as enqueued. */
export type Commits = 'outermost' | 'immediate';

/**
 * Base of fake and inline jobs, which are kept in memory after the same checks as on their way to Redis and Postgres.
 */
export abstract class MemoryJobs implements JobMode {
  abstract readonly name: 'fake' | 'inline';
  readonly ledger = new JobLog();
  protected readonly runs: TestRuns;
  protected readonly claims = new Claims();

  constructor(
    readonly equipment: TestDependencies,
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

  /** Called once the job counts as enqueued. */
  protected abstract accept(entry: LoggedJob): Promise<void>;

  private async enqueueOne(request: EnqueueRequest): Promise<EnqueuedJob> {
    const { id } = request;
    const entry = new LoggedJob(request);
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

  private async acceptAtCommit(entry: LoggedJob): Promise<void> {
    const trx = entry.request.trx ?? currentTransaction();
    if (!trx || this.commits === 'immediate') return this.accept(entry);
    await onOutcome(trx, (committed) => (committed ? this.accept(entry) : this.takeBack(entry)));
  }

  private takeBack(entry: LoggedJob): void {
    this.claims.release(entry.request.id);
    this.ledger.remove(entry);
  }
}

/** Maximum number of runs in one `perform`. More means that jobs enqueue each other endlessly. */
const MAX_RUNS = 10_000;

/** Keeps jobs until the test performs them. */
export class FakeJobs extends MemoryJobs {
  readonly name = 'fake';

  async perform(options: PerformOptions, since: number): Promise<void> {
    const wanted = matchesFilter(options);
    let count = 0;
    for (;;) {
      const isEligible = (entry: LoggedJob) => wanted(entry) && isDue(entry, options);
      const round = this.ledger.in(['enqueued'], since).filter(isEligible).sort(byTurn);
      if (round.length === 0) return;
      for (const entry of round) {
        count += 1;
        if (count > MAX_RUNS) throw endless(entry);
        // Another job of this round may already have performed it.
        if (entry.state === 'enqueued') await this.performOne(entry, options);
      }
    }
  }

  protected async accept(entry: LoggedJob): Promise<void> {
    entry.state = 'enqueued';
  }

  private async performOne(entry: LoggedJob, { retries }: PerformOptions): Promise<void> {
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

/** Performs jobs at once, inside `performLater`. */
export class InlineJobs extends MemoryJobs {
  readonly name = 'inline';

  /** Does nothing, since no job stays enqueued. */
  async perform(): Promise<void> {}

  protected async accept(entry: LoggedJob): Promise<void> {
    const outcome = await this.runs.run(entry);
    if (outcome === 'retrying') {
      entry.state = 'failed';
      this.claims.release(entry.request.id);
    }
    if (outcome === 'retrying' || outcome === 'dead') throw entry.error;
  }
}

export type RunOutcome = 'succeeded' | 'retrying' | 'discarded' | 'dead';

/**
 * Performs jobs with the executor of the job processor, from their serialized records. Only the passage through Redis
 * and the wait for a retry are missing.
 */
export class TestRuns {
  /**
   * The async context in which the mode was connected: as in a job processor, a job must not see the request or the
   * transaction of the enqueuing code.
   */
  private readonly outside = new AsyncResource('CatamountTestRun');
  private readonly events = new Events();
  private readonly checkpoints = new MemoryCheckpointStore();
  private readonly running = new Map<string, LoggedJob>();
  /** Errors of the app's hooks. Production only logs them, while a test should fail. */
  private readonly hookErrors: Error[] = [];

  constructor(
    private readonly equipment: TestDependencies,
    private readonly claims: Claims,
  ) {
    const { events } = this;
    const { reportError } = equipment.setup;
    if (reportError) void new ErrorReporter(events, reportError).start();
    for (const name of ['job.retrying', 'job.discarded', 'job.dead', 'job.left'] as const) {
      events.on(name, ({ id, error }) => {
        const entry = this.running.get(id);
        if (entry) entry.error = error;
      });
    }
    for (const name of ['process.error', 'queue.error'] as const) {
      events.on(name, ({ error, during }) => {
        this.hookErrors.push(new Error(`${during}: ${error.message}`, { cause: error }));
      });
    }
  }

  /**
   * Runs the job once and records its outcome in the entry.
   * @throws an error from outside the job itself: from `afterDiscard`, `retryIn` or the app's `reportError`.
   */
  async run(entry: LoggedJob): Promise<RunOutcome> {
    const { id, queue } = entry.request;
    entry.state = 'performing';
    entry.runs += 1;
    entry.error = undefined;
    this.running.set(id, entry);
    const { payload, history, attempts } = entry;
    const delivery = {
      id,
      queue,
      payload,
      history,
      attempts,
      deliveries: 1,
      claimedAt: '',
      limitKey: null,
      readyAt: Date.now(),
    };
    const executor = this.executor(entry);
    const { outcome, recorded } = await this.outside.runInAsyncScope(() => executor.perform(delivery));
    recorded(true);
    this.running.delete(id);
    const [hookError] = this.hookErrors.splice(0);
    if (outcome.op !== 'retry') this.claims.release(id);
    if (outcome.op === 'leave') throw this.giveUp(entry);
    if (outcome.op === 'retry') {
      Object.assign(entry, {
        state: 'enqueued',
        history: outcome.history,
        attempts: outcome.attempts,
        dueAt: Date.now() + outcome.waitMs,
      });
    } else if (outcome.op === 'dead') Object.assign(entry, { state: 'dead', history: outcome.job.history });
    else if (outcome.op === 'delete') entry.state = entry.error ? 'discarded' : 'succeeded';
    else throw new Error(`${entry.request.name} was released, but nothing is stopping`);
    if (hookError) throw hookError;
    return outcome.op === 'retry' ? 'retrying' : (entry.state as RunOutcome);
  }

  /** Fails the job, since there is no other processor that might have what it needs. */
  private giveUp(entry: LoggedJob): Error {
    entry.state = 'enqueued';
    return entry.error ?? new Error(`${entry.request.name} needs something that this app does not have`);
  }

  private executor({ request }: LoggedJob): Executor {
    const { setup, codec, filter } = this.equipment;
    return new Executor({
      registry: new JobRegistry([request.jobClass]),
      events: this.events,
      maxDeliveries: 1,
      middleware: setup.performMiddleware,
      decode: (args) => deserializeArguments(args, codec),
      filter,
      checkpoints: () => this.checkpoints,
      releaseUnique: async (id) => this.claims.release(id),
    });
  }
}
