import { DeadSet } from './dead-set';
import { checkQueue } from './filter';
import { type FoundPlace, findJob } from './find-job';
import type { JobRef } from './reference';
import { RetrySet } from './retry-set';
import { ScheduledSet } from './scheduled-set';
import type { SetSources } from './sources';
import { WaitingList } from './waiting-list';

/** All that operators can see and do with jobs, from any process. It holds nothing: make one whenever it is needed. */
export class JobSets {
  readonly retry: RetrySet;
  readonly scheduled: ScheduledSet;
  readonly dead: DeadSet;

  constructor(private readonly sources: SetSources) {
    this.retry = new RetrySet(sources);
    this.scheduled = new ScheduledSet(sources);
    this.dead = new DeadSet(sources);
  }

  /** @throws InvalidRequestError for what cannot be a queue's name. */
  waiting(queue: string): WaitingList {
    checkQueue(queue);
    return new WaitingList(this.sources, queue);
  }

  /** Where is this job now? @throws InvalidRequestError. */
  find(ref: JobRef): Promise<FoundPlace> {
    return findJob(this.sources, ref);
  }

  async sizes(): Promise<{ readonly retry: number; readonly scheduled: number; readonly dead: number }> {
    const [retry, scheduled, dead] = await Promise.all([this.retry.size(), this.scheduled.size(), this.dead.size()]);
    return { retry, scheduled, dead };
  }
}
