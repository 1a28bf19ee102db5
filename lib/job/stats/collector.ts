import type { EventMap, EventName, Events } from '../../core/events';
import { Outcomes } from './class-stats';

/** The name under which unknown classes are counted. */
export const OTHER_CLASSES = '(other classes)';

/** A job's run has begun, or its outcome is recorded. */
export const RUN_EVENTS = [
  'job.started',
  'job.succeeded',
  'job.retrying',
  'job.dead',
  'job.discarded',
  'job.cancelled',
  'job.expired',
] as const;

/** Counts the outcomes of jobs and mails in this process until they are written. Costs a job a few increments. */
export class OutcomeCounter {
  private outcomes = new Outcomes();

  /**
   * @param isKnown unknown classes are counted together, since anybody with access to a queue can invent names.
   * Default: all are known.
   */
  constructor(private readonly isKnown: (className: string) => boolean = () => true) {}

  /** @returns a function that stops it. */
  listen(events: Events): () => void {
    const mails = ['mail.sent', 'mail.failed', 'mail.skipped'] as const;
    return events.onAny((name, payload) => this.hear(name, payload), [...RUN_EVENTS, ...mails]);
  }

  /** Returns the counts since the last call. */
  take(): Outcomes {
    const { outcomes } = this;
    this.outcomes = new Outcomes();
    return outcomes;
  }

  private hear(name: EventName, payload: EventMap[EventName]): void {
    switch (name) {
      case 'job.started': {
        const { class: className, waitedMs } = payload as EventMap['job.started'];
        this.class(className).latency.observe(waitedMs);
        break;
      }
      case 'job.succeeded': {
        const { class: className, durationMs } = payload as EventMap['job.succeeded'];
        const stats = this.class(className);
        stats.processed++;
        stats.duration.observe(durationMs);
        break;
      }
      case 'job.retrying': {
        const stats = this.class((payload as EventMap['job.retrying']).class);
        stats.failed++;
        stats.retried++;
        break;
      }
      case 'job.dead': {
        const stats = this.class((payload as EventMap['job.dead']).class);
        stats.failed++;
        stats.dead++;
        break;
      }
      case 'job.discarded':
        this.class((payload as EventMap['job.discarded']).class).discarded++;
        break;
      case 'job.cancelled': {
        const { class: className, was } = payload as EventMap['job.cancelled'];
        // Whoever cancels waiting jobs counts them.
        if (was === 'running') this.class(className).cancelled++;
        break;
      }
      case 'job.expired':
        this.class((payload as EventMap['job.expired']).class).expired++;
        break;
      case 'mail.sent':
        this.outcomes.mailer((payload as EventMap['mail.sent']).mailer).sent++;
        break;
      case 'mail.failed':
        this.outcomes.mailer((payload as EventMap['mail.failed']).mailer).failed++;
        break;
      case 'mail.skipped':
        this.outcomes.mailer((payload as EventMap['mail.skipped']).mailer).skipped++;
        break;
    }
  }

  private class(name: string) {
    return this.outcomes.classes.get(name) ?? this.outcomes.class(this.isKnown(name) ? name : OTHER_CLASSES);
  }
}

/** Counts the runs of this process since the last call of `take`. */
export class WorkCounter {
  private processed = 0;
  private failed = 0;

  /** @returns a function that stops it. */
  listen(events: Events): () => void {
    return events.onAny((name) => this.hear(name), ['job.succeeded', 'job.retrying', 'job.dead']);
  }

  /** Returns the counts and resets them. */
  take(): { readonly processed: number; readonly failed: number } {
    const { processed, failed } = this;
    this.processed = this.failed = 0;
    return { processed, failed };
  }

  private hear(name: EventName): void {
    if (name === 'job.succeeded') this.processed++;
    else this.failed++;
  }
}
