import type { EventName, Events } from '../../core/events';
import { type ClassStats, type Counter, Outcomes } from './class-stats';
import { LAST_RUNS, OUTCOMES, type Outcome } from './last-runs';

/** The name under which unknown classes are counted. */
export const OTHER_CLASSES = '(other classes)';

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
    const ends = [
      events.on('job.started', (e) => this.class(e.class).latency.observe(e.waitedMs)),
      events.on('job.succeeded', (e) => {
        this.end(e, ['processed'], 'done', e.durationMs).duration.observe(e.durationMs);
      }),
      events.on('job.retrying', (e) => this.end(e, ['failed', 'retried'], 'failed')),
      events.on('job.dead', (e) => this.end(e, ['failed', 'dead'], 'dead')),
      events.on('job.discarded', (e) => this.end(e, ['discarded'], 'discarded')),
      // Whoever cancels waiting jobs counts them.
      events.on('job.cancelled', (e) => e.was === 'running' && this.end(e, ['cancelled'], 'cancelled')),
      events.on('job.expired', (e) => this.end(e, ['expired'], 'expired')),
      events.on('mail.sent', (e) => this.outcomes.mailer(e.mailer).sent++),
      events.on('mail.failed', (e) => this.outcomes.mailer(e.mailer).failed++),
      events.on('mail.skipped', (e) => this.outcomes.mailer(e.mailer).skipped++),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  /** Returns the counts since the last call. */
  take(): Outcomes {
    const { outcomes } = this;
    this.outcomes = new Outcomes();
    return outcomes;
  }

  /** A run has ended. */
  private end(
    { class: name, id }: { readonly class: string; readonly id: string },
    counters: readonly Counter[],
    outcome: Outcome,
    ms: number | null = null,
  ): ClassStats {
    const stats = this.class(name);
    for (const counter of counters) stats[counter]++;
    stats.runs[stats.ended++ % LAST_RUNS] = [id, Date.now(), ms, OUTCOMES.indexOf(outcome)];
    return stats;
  }

  private class(name: string): ClassStats {
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
