import type { Knex } from 'knex';
import type { Limits } from '../definition/limits';
import { type AdmittedJob, admit } from '../row/limited';
import type { Announcer } from './hints';

/**
 * Has held jobs run as far as their limits allow. It admits in one statement at a time: under load one stands for many. If
 * Postgres fails, the dispatcher does it.
 */
export class Admitter {
  private readonly due = new Set<string>();
  private isAdmitting = false;

  constructor(
    private readonly knex: Knex,
    private readonly limits: Limits,
    private readonly announcer: Pick<Announcer, 'announce' | 'prioritised'>,
    /** true: the dispatcher is told of jobs that wait for a time, since it does not know of them yet. */
    private readonly tellsOfTimes: boolean,
  ) {}

  /** Call when jobs of these keys were enqueued, have begun or have ended. Does not wait for it, and never throws. */
  admit(keys: Iterable<string>): void {
    for (const key of keys) this.due.add(key);
    if (!this.isAdmitting && this.due.size > 0) void this.admitDue();
  }

  private async admitDue(): Promise<void> {
    this.isAdmitting = true;
    while (this.due.size > 0) {
      const keys = [...this.due];
      this.due.clear();
      try {
        const { jobs, isTimed } = await admit(this.knex, this.limits, keys);
        for (const [some, at] of byPlace(jobs)) this.announcer.announce(some, false, at);
        if (jobs.some(({ priority }) => priority !== 0)) this.announcer.prioritised();
        if (isTimed && this.tellsOfTimes) this.announcer.announce([], true);
      } catch {
        this.announcer.announce([], true);
      }
    }
    this.isAdmitting = false;
  }
}

/**
 * Groups admitted jobs by where their hints go. Those of a class go to the head, since they are older than what else waits. Where
 * keys take turns they go to the tail: at the head, a key whose jobs are short would always be first.
 */
export function byPlace(jobs: readonly AdmittedJob[]): [AdmittedJob[], 'head' | 'tail'][] {
  return [
    [jobs.filter(({ isOfClass }) => isOfClass), 'head'],
    [jobs.filter(({ isOfClass }) => !isOfClass), 'tail'],
  ];
}
