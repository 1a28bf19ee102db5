import { toError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Performed } from '../adapter/fetcher';
import type { Delivery, Traces } from '../adapter/fused-call';
import { performInContext } from '../perform/perform-in-context';
import { type Payload, readPayload, UnreadableJobError } from '../record/payload';
import { failedRecord, type JobRecord, readRecord } from '../record/record';
import type { JobRegistry } from '../registry';
import { DEFAULT_RETRY, decide, type RetryRules, type Verdict } from './retry-policy';
import { Run } from './run';
import { UnknownJobError } from './verdict';

export interface PerformerOptions {
  readonly registry: JobRegistry;
  readonly events: Events;
  /** Deliveries without an outcome that a job may have; the next one buries it instead. */
  readonly maxDeliveries: number;
  /** A job whose row may be in the outbox has its final outcome. */
  readonly onFinished: (queue: string, id: string) => void;
  /** As Math.random, for the waits of retries. */
  readonly random?: (() => number) | undefined;
  /** ms since 1970. */
  readonly now?: (() => number) | undefined;
}

const TRACES: Readonly<Record<NonNullable<Payload['via']>, Traces>> = { outbox: 'f', redis: 'r', fallback: 'fr' };
const USUAL_RULES: RetryRules = { retry: DEFAULT_RETRY };

/** What is known of a delivered job by the time something went wrong with it. */
interface Subject {
  readonly delivery: Delivery;
  readonly name: string;
  readonly record: JobRecord;
  readonly traces: Traces;
  readonly attempt: number;
}

/** Runs delivered jobs and turns what comes of each into its outcome. */
export class Performer {
  readonly runs = new Set<Run>();

  constructor(private readonly options: PerformerOptions) {}

  /** Never rejects, whatever the job or its record is like. */
  async perform(delivery: Delivery): Promise<Performed> {
    let subject: Subject = { delivery, name: 'unreadable', record: EMPTY_RECORD, traces: 'f', attempt: 1 };
    try {
      const record = readRecord(delivery.record);
      const attempt = (Number(record.options.attempts) || 0) + 1;
      subject = { ...subject, record, attempt };
      const payload = readPayload(record.data);
      subject = { ...subject, name: payload.class, traces: payload.via ? TRACES[payload.via] : '' };
      if (delivery.deliveries > this.options.maxDeliveries) return this.poisoned(subject);
      return await this.run(subject, payload);
    } catch (thrown) {
      const error = toError(thrown);
      if (error instanceof UnreadableJobError) return this.unreadable(subject, error);
      return this.failed(subject, error, USUAL_RULES);
    }
  }

  /** The process stops: handlers are told, and what they reject with from now on is no failure of theirs. */
  abort(reason: Error): void {
    for (const run of this.runs) run.abort(reason);
  }

  private async run(subject: Subject, payload: Payload): Promise<Performed> {
    const { registry, events } = this.options;
    const { delivery, name, attempt, traces } = subject;
    const jobClass = registry.get(name);
    if (!jobClass) throw new UnknownJobError(`there is no job class ${name} in this app`);
    const { id, queue } = delivery;
    const run = new Run(id, queue, attempt, name);
    this.runs.add(run);
    events.emit('job.started', { id, class: name, queue, attempt });
    try {
      await performInContext(jobClass, run, payload.args, payload.attrs);
      const { durationMs } = run;
      return this.final({ op: 'drop', traces }, subject, () =>
        events.emit('job.succeeded', { id, class: name, queue, durationMs }),
      );
    } catch (thrown) {
      return run.aborted ? this.returned(subject) : this.failed(subject, toError(thrown), jobClass);
    } finally {
      this.runs.delete(run);
    }
  }

  private failed(subject: Subject, error: Error, rules: RetryRules): Performed {
    const { delivery, record, traces, attempt, name } = subject;
    const { events, now = Date.now } = this.options;
    const about = { id: delivery.id, class: name, queue: delivery.queue };
    const verdict = this.verdict(rules, attempt, error);
    if (verdict.kind === 'discard') {
      return this.final({ op: 'drop', traces }, subject, () => events.emit('job.discarded', { ...about, error }));
    }
    if (verdict.kind === 'dead') return this.bury(subject, failedRecord(record, error, verdict.reason), verdict.reason);
    const { waitMs } = verdict;
    const retrying = JSON.stringify(failedRecord(record, error));
    return this.final({ op: 'retry', record: retrying, dueAt: now() + waitMs }, subject, () =>
      events.emit('job.retrying', { ...about, attempt, waitMs, error }),
    );
  }

  /** A class's own rule that breaks must not cost the job its retries. */
  private verdict(rules: RetryRules, attempt: number, error: Error): Verdict {
    const { random, events } = this.options;
    try {
      return decide(rules, attempt, error, random);
    } catch (thrown) {
      events.emit('process.error', { error: toError(thrown), during: 'asking a job class when to retry' });
      return decide({ retry: rules.retry }, attempt, error, random);
    }
  }

  private poisoned(subject: Subject): Performed {
    const reason = `the process died, or stalled, ${subject.delivery.deliveries - 1} times while it ran this job`;
    return this.bury(subject, failedRecord(subject.record, new Error(reason), reason), reason);
  }

  /** Kept as it is when it cannot even be parsed. */
  private unreadable(subject: Subject, error: Error): Performed {
    const { delivery, record } = subject;
    const kept = record === EMPTY_RECORD ? delivery.record : failedRecord(record, error, error.message);
    return this.bury(subject, kept, error.message);
  }

  private bury(subject: Subject, record: JobRecord | string, reason: string): Performed {
    const { delivery, traces, name } = subject;
    const text = typeof record === 'string' ? record : JSON.stringify(record);
    return this.final({ op: 'bury', record: text, traces }, subject, () =>
      this.options.events.emit('job.dead', { id: delivery.id, class: name, queue: delivery.queue, reason }),
    );
  }

  private returned(subject: Subject): Performed {
    const { id, queue } = subject.delivery;
    return this.final({ op: 'back' }, subject, () =>
      this.options.events.emit('job.returned', { id, class: subject.name, queue }),
    );
  }

  /** An outcome that speaks once Redis has it: what did not count did not happen. */
  private final(outcome: Performed['outcome'], subject: Subject, announce: () => void): Performed {
    const { id, queue } = subject.delivery;
    const { events, onFinished } = this.options;
    const recorded = (applied: boolean) => {
      if (!applied) return events.emit('job.superseded', { id, class: subject.name, queue });
      if ('traces' in outcome && outcome.traces.includes('f')) onFinished(queue, id);
      announce();
    };
    return { outcome, recorded };
  }
}

const EMPTY_RECORD: JobRecord = { data: null, options: {}, status: 'created', progress: 0 };
