import type { Knex } from 'knex';
import { withAttributes } from '../../core/execution-context';
import type { EnqueuedJob } from '../enqueue/request';
import { Job } from '../job';
import type { CronEntry } from './cron-entries';

/** The class's own road: its middleware, uniqueness and queue are the same as in anybody's `performLater`. */
export function enqueueTick(
  { jobClass, args }: CronEntry,
  scheduledFor: Date,
  trx?: Knex.Transaction,
): Promise<EnqueuedJob> {
  return withAttributes({ scheduledFor: scheduledFor.toISOString() }, () =>
    Job.set.call(jobClass, { trx }).performLater(...(args as never[])),
  );
}
