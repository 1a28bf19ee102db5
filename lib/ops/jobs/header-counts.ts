import { countCrons } from '../../job/cron/cron-table';
import { knownQueues, readQueues } from '../../job/row/queue-status';
import { countSet } from '../../job/sets/set-reader';
import { valueWithin } from '../../support/deadline';
import type { Counts } from '../ui/layout';
import type { OpsOptions } from '../ui/page-types';

/** Pages rendered within this time share the numbers, ms. */
const FRESH_MS = 250;
/** Maximum time that a header waits for a number, ms. */
const PATIENCE_MS = 1000;

/**
 * Numbers in every page's header. It loads no modules of the job pages. A number that is late is null (unknown). Nothing is counted
 * while a count before has no answer, as of a locked table: it would only take the connections of other pages.
 */
export class JobCounts {
  private latest: { readonly counts: Promise<Counts>; readonly at: number } | undefined;
  private unanswered = 0;

  constructor(private readonly options: Pick<OpsOptions, 'config' | 'knex'>) {}

  read(): Promise<Counts> {
    const now = Date.now();
    const isOld = this.latest && now - this.latest.at > FRESH_MS && this.unanswered === 0;
    if (!this.latest || isOld) this.latest = { counts: this.count(), at: now };
    return this.latest.counts;
  }

  private async count(): Promise<Counts> {
    const { config, knex } = this.options;
    const configured = config.jobs.queues.map((queue) => queue.name);
    const statuses = this.counted(knownQueues(knex, configured).then((all) => readQueues(knex, all)));
    const [queues, busy, scheduled, retry, dead, cron] = await Promise.all([
      orNull(statuses.then((all) => sum(all.map((one) => one.waiting + one.blocked)))),
      orNull(statuses.then((all) => sum(all.map((one) => one.active)))),
      orNull(this.counted(countSet(knex, 'scheduled'))),
      orNull(this.counted(countSet(knex, 'retry'))),
      orNull(this.counted(countSet(knex, 'dead'))),
      orNull(this.counted(countCrons(knex))),
    ]);
    return { queues, busy, scheduled, retry, dead, cron };
  }

  private counted<T>(count: Promise<T>): Promise<T> {
    this.unanswered++;
    return count.finally(() => this.unanswered--);
  }
}

function orNull(count: Promise<number>): Promise<number | null> {
  return valueWithin(count, PATIENCE_MS, null);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
