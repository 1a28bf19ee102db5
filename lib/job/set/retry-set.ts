import { RedisJobSet } from './redis-job-set';
import type { JobRef } from './reference';
import type { BulkOptions, BulkResult, Selection } from './selection';
import type { SetSources } from './sources';
import { KILL, rescheduleTo, toQueue } from './standard-moves';

const RETRY = toQueue('retry');

/** Jobs that have failed and will run again by themselves. Soonest first. */
export class RetrySet extends RedisJobSet {
  readonly name = 'retry';

  constructor(sources: SetSources) {
    super(sources, { name: 'retry', key: 'delayed', newestFirst: false, retrying: true });
  }

  /** To the tail of its queue; its attempts stay counted. */
  retry(ref: JobRef): Promise<boolean> {
    return this.one(RETRY, ref);
  }

  retryMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(RETRY, selection, options);
  }

  /** @param at a moment that has passed stands for now. */
  async reschedule(ref: JobRef, at: Date): Promise<boolean> {
    return this.one(rescheduleTo(at), ref);
  }

  async rescheduleMany(selection: Selection, at: Date, options?: BulkOptions): Promise<BulkResult> {
    return this.many(rescheduleTo(at), selection, options);
  }

  /** To the dead set. */
  kill(ref: JobRef): Promise<boolean> {
    return this.one(KILL, ref);
  }

  killMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(KILL, selection, options);
  }
}
