import { AsyncResource } from 'node:async_hooks';
import { Events } from '../core/events';
import { JobExpiredError } from '../job/definition/errors';
import { JobRegistry } from '../job/job-registry';
import type { CheckpointStore } from '../job/perform/checkpoint';
import { ErrorReporter } from '../job/perform/error-reporter';
import { Executor } from '../job/perform/executor';
import type { Outcome } from '../job/row/end';
import { currentTransaction, onOutcome } from '../model/transaction';
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
  private readonly running = new Map<string, LoggedJob>();
  /** Errors of the app's hooks. Production only logs them, while a test should fail. */
  private readonly hookErrors: Error[] = [];

  constructor(private readonly dependencies: TestDependencies) {
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
    entry.begunAt = Date.now();
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
    entry.cancel = (reason) => void executor.cancel(new Map([[id, reason]]));
    const { outcome, recorded } = await this.outside.runInAsyncScope(() => executor.perform(delivery));
    const isCancelled = entry.cancelReason !== undefined && outcome.op !== 'delete';
    await recorded(!isCancelled, isCancelled ? entry.cancelReason : undefined);
    this.running.delete(id);
    const [hookError] = this.hookErrors.splice(0);
    const became = isCancelled ? 'cancelled' : this.becomes(entry, outcome);
    entry.snoozed = became === 'snoozed';
    const runsAgain = became === 'retrying' || became === 'snoozed';
    entry.state = runsAgain ? 'enqueued' : became;
    if (!runsAgain) entry.holdsUntil = undefined;
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
        if (outcome.op === 'retry' && outcome.queue) entry.request = { ...entry.request, queue: outcome.queue };
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

  /** Fails the job, since there is no other processor that might have what it needs. */
  private giveUp(entry: LoggedJob): Error {
    entry.state = 'enqueued';
    return entry.error ?? new Error(`${entry.request.name} needs something that this app does not have`);
  }

  private executor(entry: LoggedJob): Executor {
    const { setup, codec, redactor, keys } = this.dependencies;
    return new Executor({
      registry: new JobRegistry([entry.request.jobClass]),
      events: this.events,
      maxDeliveries: 1,
      middleware: setup.performMiddleware,
      codec,
      filter: redactor,
      keys,
      checkpoints: () => checkpointsOf(entry),
      releaseUnique: async () => {
        entry.holdsUntil = undefined;
      },
    });
  }
}

function checkpointsOf(entry: LoggedJob): CheckpointStore {
  return {
    write: async (_, { cursor, steps }) => {
      entry.cursor = cursor ?? entry.cursor;
      const done = Object.entries(entry.steps).filter(([, step]) => 'at' in step);
      entry.steps = { ...entry.steps, ...steps, ...Object.fromEntries(done) };
      return 'kept';
    },
    readCursor: async () => entry.cursor,
    readSteps: async () => entry.steps,
    finishStep: async (_, name, step) => {
      const keep = (kept: boolean) => {
        if (kept) entry.steps = { ...entry.steps, [name]: step };
      };
      const trx = currentTransaction();
      if (trx) onOutcome(trx, keep);
      else keep(true);
      return 'kept';
    },
    deleteJob: async (_, finished) => {
      entry.ending = finished?.ending ?? null;
      return 'kept';
    },
  };
}
