import os from 'node:os';
import type { Events } from '../../core/events';
import type { Redactor } from '../../core/redact';
import { failSpan } from '../../core/tracing';
import { toError } from '../../support/to-error';
import { JobExpiredError, NewerFormatError, NotHereError, RateLimited, Snooze } from '../definition/errors';
import { keyOf } from '../definition/limits';
import { compileOptions } from '../definition/options';
import type { ExecutionResult } from '../fetch/fetcher';
import { begunHistory, type FailedRun, failedHistory, searchedErrors } from '../record/history';
import { UnreadableJobError } from '../record/payload';
import type { FinishedJob } from '../row/finished';
import { DEFAULT_RULES, decide, type FailureDecision } from './failure-decision';
import type { JobExecution } from './job-execution';
import { JobsLeft, type LeftFor } from './jobs-left';
import { type Run, runAsDelivered } from './run';

const HOST = os.hostname();

export interface OutcomesOptions {
  readonly events: Events;
  readonly filter: Redactor;
  /** Called for a job that has left since it was asked to cancel, whatever its outcome was to be. */
  readonly onCancelled?: (job: JobExecution, reason: string) => Promise<void>;
  /** The current time, ms since 1970. Default: Date.now. */
  readonly now?: (() => number) | undefined;
}

/**
 * The outcomes of a job, for its row. Each emits its event once Postgres has applied it. An outcome that changes nothing is
 * fenced: the job belongs to another delivery, or an earlier attempt was applied and its reply lost.
 */
export class Outcomes {
  constructor(private readonly options: OutcomesOptions) {}

  /** @param finished what is kept of it; undefined: nothing, or `commit` has kept it. */
  succeeded(job: JobExecution, finished?: FinishedJob): ExecutionResult {
    const { id, class: name, queue } = job;
    const { requestId } = job.payload.attrs;
    const { isCommitted = false, keeping, durationMs = 0 } = job.run ?? {};
    const { events } = this.options;
    const how = isCommitted ? { isCommitted } : finished && { finished };
    return this.final({ op: 'delete', ...how }, job, () => {
      events.emit('job.succeeded', { id, class: name, queue, requestId, durationMs });
      if (keeping?.lost !== undefined) events.emit('job.result-lost', { id, class: name, queue, why: keeping.lost });
    });
  }

  /** Reports an error after `commit`, which does not change that the job is done. */
  failedAfterCommit(job: JobExecution, error: Error): void {
    this.options.events.emit('process.error', { error, during: `the end of ${job.class} after its commit()` });
  }

  discarded(job: JobExecution, error: Error): ExecutionResult {
    failSpan(error);
    return this.final({ op: 'discard' }, job, () =>
      this.options.events.emit('job.discarded', { error, ...this.about(job) }),
    );
  }

  /** Its run has failed after it was asked to cancel. Whoever records that tells it. */
  cancelled(job: JobExecution): ExecutionResult {
    return this.final({ op: 'cancel' }, job, () => undefined);
  }

  expired(job: JobExecution, error: JobExpiredError): ExecutionResult {
    return this.final({ op: 'discard' }, job, () =>
      this.options.events.emit('job.expired', { error, ...this.about(job) }),
    );
  }

  /** Runs again later by its own wish. */
  snoozed(job: JobExecution, waitMs: number): ExecutionResult {
    return this.final({ op: 'snooze', waitMs, inOrderOf: job.inOrderOf, ...begunHistory(job.delivery) }, job, () =>
      this.options.events.emit('job.snoozed', { waitMs, ...this.about(job) }),
    );
  }

  retrying(job: JobExecution, error: Error, decision: Extract<FailureDecision, { kind: 'retry' }>): ExecutionResult {
    const { events } = this.options;
    failSpan(error);
    const { waitMs, key, firstFailedAt } = decision;
    const history = failedHistory(job.history, error, { key, firstFailedAt, run: this.failedRun(job) });
    const written = { history: JSON.stringify(history), ...searchedErrors(history), attempts: job.attempt };
    const queue = job.jobClass?.retryQueue;
    return this.final({ op: 'retry', waitMs, queue, inOrderOf: job.inOrderOf, ...written }, job, () =>
      events.emit('job.retrying', { waitMs, error, ...this.about(job) }),
    );
  }

  dead(job: JobExecution, error: Error, reason: string, key?: string): ExecutionResult {
    failSpan(error);
    const history = failedHistory(job.history, error, { key, deadReason: reason, run: this.failedRun(job) });
    const written = { history: JSON.stringify(history), ...searchedErrors(history), attempts: job.attempt };
    return this.final({ op: 'dead', job: { id: job.id, ...written } }, job, () =>
      this.options.events.emit('job.dead', { error, reason, ...this.about(job) }),
    );
  }

  /** @param counted true if its run may have brought the process down. */
  returned(job: JobExecution, counted: boolean): ExecutionResult {
    const { id, class: name, queue } = job;
    const op = counted ? 'return-counted' : 'return';
    return this.final({ op, ...begunHistory(job.delivery) }, job, () =>
      this.options.events.emit('job.released', { id, class: name, queue }),
    );
  }

  /** Left to other processors: its attempts and its deliveries stay as they are. */
  left(job: JobExecution, name: string, error: NotHereError, { waitMs, wasLogged }: LeftFor): ExecutionResult {
    const { id, queue } = job;
    return this.final({ op: 'leave', waitMs }, job, () =>
      this.options.events.emit('job.left', { id, class: name, queue, waitMs, wasLogged, error }),
    );
  }

  /** Told to wait, with the jobs of its key: it is not a failure. */
  waiting(job: JobExecution, error: RateLimited): ExecutionResult {
    const { key, afterMs: waitMs } = error;
    const { id, class: name, queue, delivery } = job;
    const held = key === undefined || delivery.limitKey === null ? delivery.limitKey : keyOf(name, key, job.digests);
    return this.final({ op: 'wait', waitMs, key: held, ...begunHistory(delivery) }, job, () =>
      this.options.events.emit('job.rate-limited', { id, class: name, queue, waitMs, key: held, error }),
    );
  }

  /** How long the job has been due, ms. */
  dueForMs(job: JobExecution): number {
    return this.now() - job.delivery.readyAt;
  }

  /** The current time, ms since 1970. */
  now(): number {
    const { now = Date.now } = this.options;
    return now();
  }

  /** Not an outcome: announces that the run begins. */
  started(job: JobExecution, now: number): void {
    const waited = { waitedMs: job.waitedMs(now) };
    this.options.events.emit('job.started', Object.assign(this.about(job), waited));
  }

  /** The data of a job for events. Its arguments are redacted only when a listener asks for them. */
  about(job: JobExecution) {
    const { id, class: name, queue, attempt } = job;
    const { requestId } = job.payload.attrs;
    const isEncrypted = job.payload.encrypted !== undefined;
    const args = () => (isEncrypted ? undefined : this.options.filter.show(job.jobClass, job.argsAsDelivered()));
    return { id, class: name, queue, attempt, requestId, args };
  }

  private failedRun({ attempt, run }: JobExecution): FailedRun {
    return { at: this.now(), attempt, ms: run?.durationMs, host: HOST, pid: process.pid };
  }

  private final(outcome: ExecutionResult['outcome'], job: JobExecution, announce: () => void): ExecutionResult {
    const { events } = this.options;
    const { id, queue } = job;
    const recorded = (applied: boolean, cancelReason?: string) => {
      if (cancelReason !== undefined) return this.options.onCancelled?.(job, cancelReason);
      if (applied) announce();
      else events.emit('job.fenced', { id, class: job.class, queue });
      return undefined;
    };
    return { outcome, recorded, batchId: job.payload.batch };
  }
}

export interface FailuresOptions {
  readonly events: Events;
  readonly outcomes: Outcomes;
  readonly random?: (() => number) | undefined;
  /** As in ProcessorTuning. */
  readonly leftForMs?: number | undefined;
  /** @returns true if a returned job keeps its delivery counted. */
  readonly returnsCount: () => boolean;
  /** Prepares a job that did not run for its callback: instance, run and arguments. */
  readonly prepare: (job: JobExecution) => Promise<Run>;
  /** The arguments for a callback after the run, as they were enqueued, even if the run has modified its own. */
  readonly argsFor: (job: JobExecution, run: Run) => Promise<readonly unknown[]>;
}

/** Turns the failure of a job into its outcome. Errors in the class's own rules and callbacks cost the job nothing. */
export class Failures {
  private readonly jobsLeft: JobsLeft;

  constructor(private readonly options: FailuresOptions) {
    this.jobsLeft = new JobsLeft(options.random, undefined, options.leftForMs);
  }

  get left(): ReturnType<JobsLeft['list']> {
    return this.jobsLeft.list();
  }

  async conclude(job: JobExecution, error: Error): Promise<ExecutionResult> {
    if (job.run?.isAborted) return this.options.outcomes.returned(job, this.options.returnsCount());
    if (job.run?.isCancelled) {
      await this.afterDiscard(job, error);
      return this.options.outcomes.cancelled(job);
    }
    if (error instanceof Snooze) return this.options.outcomes.snoozed(job, error.waitMs);
    const outcome = error instanceof NotHereError && this.leave(job, error);
    if (outcome) return outcome;
    if (error instanceof RateLimited) return this.options.outcomes.waiting(job, error);
    if (error instanceof UnreadableJobError && !job.argsAreRead) return this.dead(job, error, error.message);
    const decision = this.decide(job, error);
    if (decision.kind === 'retry') return this.options.outcomes.retrying(job, error, decision);
    if (decision.kind === 'rescue') return this.rescue(job, error, decision);
    const handled = await this.handle(decision, job, error);
    if (handled === 'failed') return this.dead(job, error, error.message, decision.key);
    if (decision.kind === 'dead' && handled === 'none') return this.dead(job, error, decision.reason, decision.key);
    await this.afterDiscard(job, error);
    return this.options.outcomes.discarded(job, error);
  }

  async dead(job: JobExecution, error: Error, reason: string, key?: string): Promise<ExecutionResult> {
    await this.afterDiscard(job, error);
    return this.options.outcomes.dead(job, error, reason, key);
  }

  /** Ends a job without running it: it has not begun in time. */
  async expired(job: JobExecution, expiresInMs: number): Promise<ExecutionResult> {
    const error = new JobExpiredError(job.class, expiresInMs);
    await this.afterDiscard(job, error);
    return this.options.outcomes.expired(job, error);
  }

  /** @returns undefined for a job that fails: it has been due for too long. */
  private leave(job: JobExecution, error: NotHereError): ExecutionResult | undefined {
    const { outcomes } = this.options;
    const name = error instanceof NewerFormatError ? error.jobName : job.class;
    const leave = this.jobsLeft.decide(name, error, outcomes.dueForMs(job));
    return leave && outcomes.left(job, name, error, leave);
  }

  private decide(job: JobExecution, error: Error): FailureDecision {
    const { random, outcomes } = this.options;
    const { attemptsBy: counts, firstFailedAt } = job.history;
    const failure = { attempt: job.attempt, error, counts, firstFailedAt, now: outcomes.now() };
    const onBrokenRule = (broken: Error) => this.report(broken, `deciding when to retry ${job.class}`);
    const mayRescue = job.run !== undefined && !job.wasRescued;
    return decide(job.jobClass ?? DEFAULT_RULES, failure, { random, onBrokenRule, mayRescue });
  }

  /** The job is done, unless the handler throws: that is a failure, for which other rules decide. */
  private async rescue(job: JobExecution, error: Error, { handler }: FailureDecision): Promise<ExecutionResult> {
    const { run, instance } = job;
    job.wasRescued = true;
    try {
      const value = await (run && runAsDelivered(run, () => handler?.(error, instance)));
      return this.options.outcomes.succeeded(job, run?.keeping?.finished(run, value));
    } catch (thrown) {
      return this.conclude(job, toError(thrown));
    }
  }

  /** @returns failed: the handler that decides about a dead job has failed itself. */
  private async handle(
    { kind, handler }: FailureDecision,
    job: JobExecution,
    error: Error,
  ): Promise<'none' | 'done' | 'failed'> {
    const { run, instance } = job;
    if (!handler || !run) return 'none';
    try {
      await runAsDelivered(run, () => handler(error, instance));
      return 'done';
    } catch (thrown) {
      this.report(toError(thrown), `handling the last failure of ${job.class}`);
      return kind === 'dead' ? 'failed' : 'done';
    }
  }

  /** Calls the job's `afterDiscard`, once. Never rejects. */
  async afterDiscard(job: JobExecution, error: Error): Promise<void> {
    const { jobClass } = job;
    if (!jobClass || job.skipsCallback) return;
    job.skipsCallback = true;
    try {
      if (!compileOptions(jobClass).afterDiscard) return;
      // The arguments could not be read, so it would be called without any.
      if (job.isUndecrypted || (job.run && !job.argsAreRead)) return;
      const { run: ended } = job;
      const run = ended ?? (await this.options.prepare(job));
      const args = ended ? await this.options.argsFor(job, ended) : run.args;
      await runAsDelivered(run, () => job.instance?.afterDiscard?.(error, ...(args as never[])));
    } catch (thrown) {
      this.report(toError(thrown), `afterDiscard of ${job.class}`);
    }
  }

  private report(error: Error, during: string): void {
    this.options.events.emit('process.error', { error, during });
  }
}
