import { toError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Performed } from '../adapter/fetcher';
import { UnreadableJobError } from '../record/payload';
import { planOf } from './class-plan';
import type { DeliveredJob } from './delivered-job';
import type { Outcomes } from './outcomes';
import { runAsDelivered } from './perform-in-context';
import { decide, USUAL_RULES, type Verdict } from './retry-policy';
import type { Run } from './run';

export interface FailuresOptions {
  readonly events: Events;
  readonly outcomes: Outcomes;
  readonly random?: (() => number) | undefined;
  /** Of a job that is over, which may hold a claim. Never rejects. */
  readonly release: (job: DeliveredJob) => Promise<void>;
  /** Readies a job that did not run for its callback: instance, run and arguments. */
  readonly prepare: (job: DeliveredJob) => Promise<Run>;
  /** Of a callback after the run: as they were enqueued, whatever the run has done to its own. */
  readonly argsFor: (job: DeliveredJob, run: Run) => Promise<readonly unknown[]>;
  /** JSON; undefined where there is none. Never rejects. */
  readonly cursorOf: (job: DeliveredJob) => Promise<string | undefined>;
}

/** From what went wrong with a job to its outcome. What the class's own code does wrong on the way costs the job nothing. */
export class Failures {
  constructor(private readonly options: FailuresOptions) {}

  async conclude(job: DeliveredJob, error: Error): Promise<Performed> {
    if (error instanceof UnreadableJobError && !job.argsAreRead) return this.dead(job, error, error.message);
    const verdict = this.decide(job, error);
    if (verdict.kind === 'retry') return this.options.outcomes.retrying(job, error, verdict.waitMs, verdict.key);
    const handled = await this.handle(verdict, job, error);
    if (handled === 'not') return this.dead(job, error, error.message, verdict.key);
    if (verdict.kind === 'dead' && handled === 'none') return this.dead(job, error, verdict.reason, verdict.key);
    await this.over(job, error);
    return this.options.outcomes.discarded(job, error);
  }

  async dead(job: DeliveredJob, error: Error, reason: string, key?: string): Promise<Performed> {
    const cursor = job.mayBeNoted ? await this.options.cursorOf(job) : undefined;
    await this.over(job, error);
    return this.options.outcomes.dead(job, error, reason, { key, cursor });
  }

  private decide(job: DeliveredJob, error: Error): Verdict {
    const { random } = this.options;
    const failure = { attempt: job.attempt, error, counts: job.record.options.attemptsBy };
    const onBrokenRule = (broken: Error) => this.report(broken, `asking ${job.class} when to retry`);
    return decide(job.jobClass ?? USUAL_RULES, failure, { random, onBrokenRule });
  }

  /** @returns not: a handler that was to see to the job has failed itself. */
  private async handle({ kind, handler }: Verdict, job: DeliveredJob, error: Error): Promise<'none' | 'done' | 'not'> {
    const { run, instance } = job;
    if (!handler || !run) return 'none';
    try {
      await runAsDelivered(run, () => handler(error, instance));
      return 'done';
    } catch (thrown) {
      this.report(toError(thrown), `handling the last failure of ${job.class}`);
      return kind === 'dead' ? 'not' : 'done';
    }
  }

  private async over(job: DeliveredJob, error: Error): Promise<void> {
    await this.afterDiscard(job, error);
    await this.options.release(job);
  }

  private async afterDiscard(job: DeliveredJob, error: Error): Promise<void> {
    const { jobClass } = job;
    if (!jobClass || job.callbackIsSpared) return;
    try {
      if (!planOf(jobClass).afterDiscard) return;
      // Its arguments cannot be had: it would be called with none.
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
