import { AsyncResource } from 'node:async_hooks';
import { Events } from '../core/events';
import { JobExpiredError } from '../job/definition/errors';
import { JobRegistry } from '../job/job-registry';
import type { CheckpointStore } from '../job/perform/checkpoint';
import { ErrorReporter } from '../job/perform/error-reporter';
import { Executor } from '../job/perform/executor';
import type { StoredSteps } from '../job/perform/steps';
import { REPLACED } from '../job/row/cancel';
import type { Outcome } from '../job/row/end';
import { currentTransaction, onOutcome } from '../model/transaction';
import type { Claims } from './claims';
import type { LoggedJob } from './job-log';
import type { TestDependencies } from './use-jobs';

export type RunOutcome = 'succeeded' | 'retrying' | 'snoozed' | 'discarded' | 'expired' | 'dead' | 'cancelled';

/**
 * Performs jobs with the executor of the job processor, from their serialized records. Only the passage through Redis
 * and the wait for a retry are missing.
 */
export class TestRuns {
  /**
   * The async context in which the mode was connected. As in a job processor, a job must not see the request or the transaction
   * of the enqueuing code.
   */
  private readonly outside = new AsyncResource('CatamountTestRun');
  private readonly events = new Events();
  private readonly cursors = new Map<string, string>();
  private readonly steps = new Map<string, StoredSteps>();
  private readonly checkpoints: CheckpointStore = {
    write: async ({ id }, { cursor, steps = {} }) => {
      if (cursor !== undefined) this.cursors.set(id, cursor);
      const done = Object.entries(this.steps.get(id) ?? {}).filter(([, step]) => 'at' in step);
      this.steps.set(id, { ...this.steps.get(id), ...steps, ...Object.fromEntries(done) });
      return 'kept';
    },
    readCursor: async ({ id }) => this.cursors.get(id),
    readSteps: async ({ id }) => this.steps.get(id) ?? {},
    finishStep: async ({ id }, name, step) => {
      const keep = (kept: boolean) => void (kept && this.steps.set(id, { ...this.steps.get(id), [name]: step }));
      const trx = currentTransaction();
      if (trx) onOutcome(trx, keep);
      else keep(true);
      return 'kept';
    },
    deleteJob: async ({ id }, finished) => {
      const entry = this.running.get(id);
      if (entry) entry.ending = finished?.ending ?? null;
      return 'kept';
    },
  };
  private readonly running = new Map<string, LoggedJob>();
  private readonly executors = new Set<Executor>();
  /** Errors of the app's hooks. Production only logs them, while a test should fail. */
  private readonly hookErrors: Error[] = [];

  constructor(
    private readonly dependencies: TestDependencies,
    private readonly claims: Claims,
  ) {
    const { events } = this;
    const { reportError } = dependencies.setup;
    if (reportError) void new ErrorReporter(events, reportError).start();
    const failures = [
      'job.retrying',
      'job.discarded',
      'job.expired',
      'job.dead',
      'job.left',
      'job.rate-limited',
    ] as const;
    for (const name of failures) {
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
    this.claims.begun(entry);
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
      readyAt: entry.dueAt,
    };
    const executor = this.executor(entry);
    this.executors.add(executor);
    const { outcome, recorded } = await this.outside.runInAsyncScope(() => executor.perform(delivery));
    this.executors.delete(executor);
    const isCancelled = entry.cancelReason !== undefined && outcome.op !== 'delete';
    await recorded(!isCancelled, isCancelled ? entry.cancelReason : undefined);
    this.running.delete(id);
    const [hookError] = this.hookErrors.splice(0);
    const became = isCancelled ? 'cancelled' : this.becomes(entry, outcome);
    entry.snoozed = became === 'snoozed';
    const runsAgain = became === 'retrying' || became === 'snoozed';
    entry.state = runsAgain ? 'enqueued' : became;
    if (!runsAgain) this.claims.release(id);
    if (hookError) throw hookError;
    return became;
  }

  /** Writes an outcome into the entry, as `row/end` does into the row. */
  private becomes(entry: LoggedJob, outcome: Outcome): RunOutcome {
    switch (outcome.op) {
      case 'retry':
      case 'wait':
      case 'snooze': {
        const { history = entry.history, waitMs } = outcome;
        const { attempts } = outcome.op === 'retry' ? outcome : entry;
        Object.assign(entry, { history, attempts, dueAt: Date.now() + waitMs });
        return outcome.op === 'snooze' ? 'snoozed' : 'retrying';
      }
      case 'dead':
        entry.history = outcome.job.history;
        return 'dead';
      case 'delete':
        entry.ending = outcome.finished?.ending ?? entry.ending;
        return 'succeeded';
      case 'discard':
        if (!(entry.error instanceof JobExpiredError)) return 'discarded';
        entry.runs -= 1;
        return 'expired';
      case 'leave':
        throw this.giveUp(entry);
      default:
        throw new Error(`${entry.request.name} was released, but nothing is stopping`);
    }
  }

  /** Drops what earlier runs of a job have left: another one takes its place. */
  forget(id: string): void {
    this.cursors.delete(id);
    this.steps.delete(id);
  }

  /** Aborts the run of a job. */
  cancel(entry: LoggedJob, reason: string): void {
    if (entry.cancelReason === undefined || entry.cancelReason === REPLACED) entry.cancelReason = reason;
    for (const executor of this.executors) executor.cancel(new Map([[entry.request.id, entry.cancelReason]]));
  }

  /** Fails the job, since there is no other processor that might have what it needs. */
  private giveUp(entry: LoggedJob): Error {
    entry.state = 'enqueued';
    return entry.error ?? new Error(`${entry.request.name} needs something that this app does not have`);
  }

  private executor({ request }: LoggedJob): Executor {
    const { setup, codec, redactor, keys } = this.dependencies;
    return new Executor({
      registry: new JobRegistry([request.jobClass]),
      events: this.events,
      maxDeliveries: 1,
      middleware: setup.performMiddleware,
      codec,
      filter: redactor,
      keys,
      checkpoints: () => this.checkpoints,
      releaseUnique: async (id) => this.claims.release(id),
    });
  }
}
