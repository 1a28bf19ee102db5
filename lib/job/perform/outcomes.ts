import os from 'node:os';
import type { Events } from '../../core/events';
import type { Redactor } from '../../core/redact';
import { toError } from '../../support/async';
import { NewerFormatError, NotHereError } from '../definition/errors';
import { compileOptions } from '../definition/options';
import type { EndMarkers } from '../fetch/fetch-call';
import type { ExecutionResult } from '../fetch/fetcher-types';
import { type FailedRun, type FailureNotes, failedRecord, readyAt, UnreadableJobError } from '../record/record';
import type { JobExecution } from './executor';
import { DEFAULT_RULES, decide, type FailureDecision } from './failure-decision';
import type { Leave, JobsLeft as Left } from './leave';
import { type Run, runAsDelivered } from './run';

const HOST = os.hostname();

export interface OutcomesOptions {
  readonly events: Events;
  /** Called for the final outcome of a job whose row may be in the outbox. */
  readonly onFinished: (queue: string, id: string) => void;
  /** Called when a job has died: it is written to `job_dead`, and its outbox row is deleted with that. */
  readonly onDied: (queue: string, id: string) => void;
  readonly filter: Redactor;
  /** The current time, ms since 1970. Default: Date.now. */
  readonly now?: (() => number) | undefined;
}

/**
 * The outcomes of a job, for Redis. Each emits its event once Redis has applied it: a fenced outcome never happened.
 */
export class Outcomes {
  constructor(private readonly options: OutcomesOptions) {}

  /** @param noted true if a cursor or progress may be stored, which is then deleted. */
  succeeded(job: JobExecution, noted: boolean): ExecutionResult {
    const { id, class: name, queue } = job;
    const { requestId } = job.payload.attrs;
    const durationMs = job.run?.durationMs ?? 0;
    return this.final({ op: 'complete', markers: markersOf(job, noted) }, job, () =>
      this.options.events.emit('job.succeeded', { id, class: name, queue, requestId, durationMs }),
    );
  }

  discarded(job: JobExecution, error: Error): ExecutionResult {
    return this.final({ op: 'discard', markers: markersOf(job, true) }, job, () =>
      this.options.events.emit('job.discarded', { error, ...this.about(job) }),
    );
  }

  retrying(job: JobExecution, error: Error, waitMs: number, key: string | undefined): ExecutionResult {
    const { events } = this.options;
    const run = this.failedRun(job);
    const dueAt = run.at + waitMs;
    const record = JSON.stringify(
      failedRecord(job.recordAsDelivered(), error, { key, noted: job.hasCheckpoint, dueAt, run }),
    );
    return this.final({ op: 'retry', record, dueAt }, job, () =>
      events.emit('job.retrying', { waitMs, error, ...this.about(job) }),
    );
  }

  /** @param notes added to the record. A record that could not be parsed is kept as it is. */
  dead(job: JobExecution, error: Error, reason: string, notes: FailureNotes = {}): ExecutionResult {
    const record = job.hasRecord
      ? JSON.stringify(
          failedRecord(job.recordAsDelivered(), error, { ...notes, deadReason: reason, run: this.failedRun(job) }),
        )
      : job.delivery.record;
    return this.final({ op: 'dead', record, markers: markersOf(job, true) }, job, () =>
      this.options.events.emit('job.dead', { error, reason, ...this.about(job) }),
    );
  }

  /**
   * Dead, with its record as delivered, since that cannot be serialized again, for example because of its nesting.
   */
  unwritable(job: JobExecution, error: Error): ExecutionResult {
    const { record } = job.delivery;
    return this.final({ op: 'dead', record, markers: markersOf(job, true) }, job, () =>
      this.options.events.emit('job.dead', {
        error,
        reason: `its record cannot be written again: ${error.message}`,
        ...this.about(job),
      }),
    );
  }

  /** @param counted true if its run may have brought the process down. */
  returned(job: JobExecution, counted: boolean): ExecutionResult {
    const { id, class: name, queue } = job;
    return this.final({ op: counted ? 'release-counted' : 'release' }, job, () =>
      this.options.events.emit('job.released', { id, class: name, queue }),
    );
  }

  /** Left to other processors: its record stays as it is, and so do its attempts and its deliveries. */
  left(job: JobExecution, name: string, error: NotHereError, { waitMs, again }: Leave): ExecutionResult {
    const { id, queue } = job;
    const { now = Date.now } = this.options;
    return this.final({ op: 'leave', dueAt: now() + waitMs }, job, () =>
      this.options.events.emit('job.left', { id, class: name, queue, waitMs, again, error }),
    );
  }

  /** How long the job has been due, ms; undefined when its record does not say. */
  ageOf(job: JobExecution): number | undefined {
    const { now = Date.now } = this.options;
    const since = readyAt(job.record.options);
    return since === undefined ? undefined : now() - since;
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
    const args = () => this.options.filter.show(job.jobClass, job.argsAsDelivered());
    return { id, class: name, queue, attempt, requestId, args };
  }

  private failedRun({ attempt, run }: JobExecution): FailedRun {
    const { now = Date.now } = this.options;
    return { at: now(), attempt, ms: run?.durationMs, host: HOST, pid: process.pid };
  }

  private final(outcome: ExecutionResult['outcome'], job: JobExecution, announce: () => void): ExecutionResult {
    const { events, onFinished, onDied } = this.options;
    const { id, queue } = job;
    const recorded = (applied: boolean) => {
      if (!applied) return events.emit('job.fenced', { id, class: job.class, queue });
      if (outcome.op === 'dead') onDied(queue, id);
      else if ('markers' in outcome && outcome.markers.includes('f')) onFinished(queue, id);
      announce();
    };
    return { outcome, recorded };
  }
}

function markersOf(job: JobExecution, noted: boolean): EndMarkers {
  return noted ? `${job.markers}c` : job.markers;
}

export interface FailuresOptions {
  readonly events: Events;
  readonly outcomes: Outcomes;
  readonly random?: (() => number) | undefined;
  /** As in ProcessorTuning. */
  readonly leftForMs?: number | undefined;
  /** Releases the claim that a job may hold at its end. Never rejects. */
  readonly releaseClaim: (job: JobExecution) => Promise<void>;
  /** Prepares a job that did not run for its callback: instance, run and arguments. */
  readonly prepare: (job: JobExecution) => Promise<Run>;
  /** The arguments for a callback after the run, as they were enqueued, even if the run has modified its own. */
  readonly argsFor: (job: JobExecution, run: Run) => Promise<readonly unknown[]>;
  /** The cursor as JSON; undefined if there is none. Never rejects. */
  readonly cursorOf: (job: JobExecution) => Promise<string | undefined>;
}

/** Turns the failure of a job into its outcome. Errors in the class's own rules and callbacks cost the job nothing. */
export class Failures {
  /** Created when the first job is left to others. */
  private jobsLeft: Left | undefined;

  constructor(private readonly options: FailuresOptions) {}

  get left(): ReturnType<Left['list']> {
    return this.jobsLeft?.list() ?? [];
  }

  async conclude(job: JobExecution, error: Error): Promise<ExecutionResult> {
    const left = error instanceof NotHereError && this.leave(job, error);
    if (left) return left;
    if (error instanceof UnreadableJobError && !job.argsAreRead) return this.dead(job, error, error.message);
    const decision = this.decide(job, error);
    if (decision.kind === 'retry') return this.options.outcomes.retrying(job, error, decision.waitMs, decision.key);
    const handled = await this.handle(decision, job, error);
    if (handled === 'failed') return this.dead(job, error, error.message, decision.key);
    if (decision.kind === 'dead' && handled === 'none') return this.dead(job, error, decision.reason, decision.key);
    await this.finish(job, error);
    return this.options.outcomes.discarded(job, error);
  }

  async dead(job: JobExecution, error: Error, reason: string, key?: string): Promise<ExecutionResult> {
    const cursor = job.hasCheckpoint ? await this.options.cursorOf(job) : undefined;
    await this.finish(job, error);
    return this.options.outcomes.dead(job, error, reason, { key, cursor });
  }

  /** @returns undefined for a job that fails: it has been due for too long, or its record does not say since when. */
  private leave(job: JobExecution, error: NotHereError): ExecutionResult | undefined {
    const { outcomes, random, leftForMs } = this.options;
    const ageMs = outcomes.ageOf(job);
    if (ageMs === undefined) return undefined;
    const { JobsLeft } = require('./leave') as typeof import('./leave');
    this.jobsLeft ??= new JobsLeft(random, undefined, leftForMs);
    const name = error instanceof NewerFormatError ? error.jobName : job.class;
    const leave = this.jobsLeft.decide(name, error, ageMs);
    return leave && outcomes.left(job, name, error, leave);
  }

  private decide(job: JobExecution, error: Error): FailureDecision {
    const { random } = this.options;
    const failure = { attempt: job.attempt, error, counts: job.record.options.attemptsBy };
    const onBrokenRule = (broken: Error) => this.report(broken, `deciding when to retry ${job.class}`);
    return decide(job.jobClass ?? DEFAULT_RULES, failure, { random, onBrokenRule });
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

  private async finish(job: JobExecution, error: Error): Promise<void> {
    await this.afterDiscard(job, error);
    await this.options.releaseClaim(job);
  }

  private async afterDiscard(job: JobExecution, error: Error): Promise<void> {
    const { jobClass } = job;
    if (!jobClass || job.skipsCallback) return;
    try {
      if (!compileOptions(jobClass).afterDiscard) return;
      // The arguments could not be read, so it would be called without any.
      if (job.run && !job.argsAreRead) return;
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
