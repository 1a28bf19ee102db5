import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';

/** A process that can be the tree's reporter in Redis. */
export interface ReporterCandidate {
  readonly pid: number;
  /** True while it serves and is responsive. */
  readonly healthy: boolean;
  appoint(on: boolean): void;
}

const CHECK_MS = 1000;

/**
 * Appoints one process of the tree to report its status to Redis, which would make the primary too large. Two reporters
 * for a moment do no harm: they write the same.
 */
export class ReporterElection {
  readonly task: PeriodicTask;
  private current: ReporterCandidate | undefined;

  /** @param candidates in order of preference. */
  constructor(
    private readonly candidates: () => readonly ReporterCandidate[],
    events: Events,
  ) {
    this.task = new PeriodicTask({
      everyMs: CHECK_MS,
      work: async () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: "appointing the tree's reporter" }),
    });
  }

  check(): undefined {
    const candidates = this.candidates();
    const current = candidates.find(({ pid }) => pid === this.current?.pid);
    if (current?.healthy) return;
    const next = candidates.find(({ healthy }) => healthy);
    if (!next) return;
    current?.appoint(false);
    next.appoint(true);
    this.current = next;
  }
}
