import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import type { ChildHandle } from './child-handle';

type Candidate = Pick<ChildHandle, 'pid' | 'isHealthy' | 'setReporter'>;

const CHECK_MS = 1000;

/**
 * Appoints one process of the tree to report its status to Redis, which would make the primary too large. Two reporters
 * for a moment do no harm: they write the same.
 */
export class ReporterElection {
  readonly task: PeriodicTask;
  private current: Candidate | undefined;

  /** @param candidates in order of preference. */
  constructor(
    private readonly candidates: () => readonly Candidate[],
    events: Events,
  ) {
    // Other trees and operators are to know at once which job processors there are, and what an operator has them do.
    for (const name of ['processor.ready', 'processor.exited', 'operator.command'] as const)
      events.on(name, () => {
        if (this.current?.isHealthy) this.current.setReporter(true);
      });
    this.task = new PeriodicTask({
      everyMs: CHECK_MS,
      work: async () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: "appointing the tree's reporter" }),
    });
  }

  check(): undefined {
    const candidates = this.candidates();
    const current = candidates.find(({ pid }) => pid === this.current?.pid);
    if (current?.isHealthy) return;
    const next = candidates.find(({ isHealthy }) => isHealthy);
    if (!next) return;
    current?.setReporter(false);
    next.setReporter(true);
    this.current = next;
  }
}
