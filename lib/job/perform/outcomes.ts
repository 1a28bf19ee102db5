import os from 'node:os';
import type { ArgumentFilter } from '../../core/argument-filter';
import type { Events } from '../../core/events';
import type { Performed } from '../adapter/fetcher';
import type { Traces } from '../adapter/fused-call';
import { type FailedRun, type FailureNotes, failedRecord } from '../record/record';
import type { DeliveredJob } from './delivered-job';

const HOST = os.hostname();

export interface OutcomesOptions {
  readonly events: Events;
  /** A job whose row may be in the outbox has its final outcome. */
  readonly onFinished: (queue: string, id: string) => void;
  readonly filter: ArgumentFilter;
  /** ms since 1970. */
  readonly now?: (() => number) | undefined;
}

/** What can come of a job, as Redis is told of it. Each speaks once Redis has it: what did not count did not happen. */
export class Outcomes {
  constructor(private readonly options: OutcomesOptions) {}

  /** @param noted a cursor or progress may be beside it, to be deleted. */
  succeeded(job: DeliveredJob, noted: boolean): Performed {
    const { id, class: name, queue } = job;
    const { requestId } = job.payload.attrs;
    const durationMs = job.run?.durationMs ?? 0;
    return this.final({ op: 'done', traces: tracesOf(job, noted) }, job, () =>
      this.options.events.emit('job.succeeded', { id, class: name, queue, requestId, durationMs }),
    );
  }

  discarded(job: DeliveredJob, error: Error): Performed {
    return this.final({ op: 'drop', traces: tracesOf(job, true) }, job, () =>
      this.options.events.emit('job.discarded', { error, ...this.about(job) }),
    );
  }

  retrying(job: DeliveredJob, error: Error, waitMs: number, key: string | undefined): Performed {
    const { events } = this.options;
    const run = this.failedRun(job);
    const dueAt = run.at + waitMs;
    const record = JSON.stringify(
      failedRecord(job.recordAsDelivered(), error, { key, noted: job.mayBeNoted, dueAt, run }),
    );
    return this.final({ op: 'retry', record, dueAt }, job, () =>
      events.emit('job.retrying', { waitMs, error, ...this.about(job) }),
    );
  }

  /** @param notes left in the record. One that cannot even be parsed is kept as it is. */
  dead(job: DeliveredJob, error: Error, reason: string, notes: FailureNotes = {}): Performed {
    const record = job.hasRecord
      ? JSON.stringify(
          failedRecord(job.recordAsDelivered(), error, { ...notes, deadReason: reason, run: this.failedRun(job) }),
        )
      : job.delivery.record;
    return this.final({ op: 'bury', record, traces: tracesOf(job, true) }, job, () =>
      this.options.events.emit('job.dead', { error, reason, ...this.about(job) }),
    );
  }

  /** Dead, with its record as it came: it cannot be written anew, as one that is nested too deep. */
  unwritable(job: DeliveredJob, error: Error): Performed {
    const { record } = job.delivery;
    return this.final({ op: 'bury', record, traces: tracesOf(job, true) }, job, () =>
      this.options.events.emit('job.dead', {
        error,
        reason: `its record cannot be written anew: ${error.message}`,
        ...this.about(job),
      }),
    );
  }

  /** @param counted its run may have brought the process down. */
  returned(job: DeliveredJob, counted: boolean): Performed {
    const { id, class: name, queue } = job;
    return this.final({ op: counted ? 'lost' : 'back' }, job, () =>
      this.options.events.emit('job.returned', { id, class: name, queue }),
    );
  }

  /** No outcome yet: it begins. */
  started(job: DeliveredJob, now: number): void {
    const waited = { waitedMs: job.waitedMs(now) };
    this.options.events.emit('job.started', Object.assign(this.about(job), waited));
  }

  /** What events tell of a job. Its arguments are made fit to be shown only when somebody asks for them. */
  about(job: DeliveredJob) {
    const { id, class: name, queue, attempt } = job;
    const { requestId } = job.payload.attrs;
    const args = () => this.options.filter.show(job.jobClass, job.argsAsDelivered());
    return { id, class: name, queue, attempt, requestId, args };
  }

  private failedRun({ attempt, run }: DeliveredJob): FailedRun {
    const { now = Date.now } = this.options;
    return { at: now(), attempt, ms: run?.durationMs, host: HOST, pid: process.pid };
  }

  private final(outcome: Performed['outcome'], job: DeliveredJob, announce: () => void): Performed {
    const { events, onFinished } = this.options;
    const { id, queue } = job;
    const recorded = (applied: boolean) => {
      if (!applied) return events.emit('job.superseded', { id, class: job.class, queue });
      if ('traces' in outcome && outcome.traces.includes('f')) onFinished(queue, id);
      announce();
    };
    return { outcome, recorded };
  }
}

function tracesOf(job: DeliveredJob, noted: boolean): Traces {
  return noted ? `${job.traces}c` : job.traces;
}
