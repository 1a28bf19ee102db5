import type { Move } from './mover';
import { RedisJobSet } from './redis-job-set';
import type { JobRef } from './reference';
import { insertRevivedRows } from './revived-rows';
import { revived, rewritten } from './rewrites';
import type { BulkOptions, BulkResult, Selection } from './selection';
import type { SetSources } from './sources';

/** Jobs that will not run again by themselves. Newest first; at most 10,000 a queue, for at most 180 days. */
export class DeadSet extends RedisJobSet {
  readonly name = 'dead';
  private readonly reviving: Move = {
    action: 'retry',
    to: 'queue',
    prepare: async (jobs) => {
      const durable = await insertRevivedRows(this.sources.knex, jobs);
      return jobs.map(({ id, text }) => rewritten(text, (record) => revived(record, durable.has(id))));
    },
  };

  constructor(sources: SetSources) {
    super(sources, { name: 'dead', key: 'dead', newestFirst: true });
  }

  /** To the tail of its queue, with all attempts anew, and durable: it is in the outbox until its next end. */
  retry(ref: JobRef): Promise<boolean> {
    return this.one(this.reviving, ref);
  }

  retryMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(this.reviving, selection, options);
  }
}
