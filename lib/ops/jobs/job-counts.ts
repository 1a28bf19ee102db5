import { setTimeout } from 'node:timers/promises';
import type { Counts } from '../page/nav';
import type { JobDesk } from './job-desk';

/** Pages that are made at the same time share what was counted, ms. */
const FRESH_MS = 250;
/** A header does not wait longer for its numbers, ms. */
const PATIENCE_MS = 1000;
/** Nobody asks but the header. */
const NOBODY = { ip: '' };

/** The numbers in the header. What does not answer in time is not known. */
export class JobCounts {
  private latest: { readonly counts: Promise<Counts>; readonly at: number } | undefined;

  constructor(private readonly desk: JobDesk) {}

  read(now = Date.now()): Promise<Counts> {
    if (!this.latest || now - this.latest.at > FRESH_MS) this.latest = { counts: this.count(), at: now };
    return this.latest.counts;
  }

  private async count(): Promise<Counts> {
    const { desk } = this;
    const sets = desk.sets(NOBODY);
    const sizeOf = async (set: 'retry' | 'scheduled' | 'dead') => (await sets)[set].size();
    const [queues, busy, scheduled, retries, dead, cron] = await Promise.all([
      known(
        desk
          .queues(NOBODY)
          .list()
          .then((all) => sum(all.map((one) => one.waiting + one.held))),
      ),
      known(desk.processes.list().then((all) => sum(all.map((one) => one.busyCount)))),
      known(sizeOf('scheduled')),
      known(sizeOf('retry')),
      known(sizeOf('dead')),
      known(
        desk
          .cron(NOBODY)
          .list()
          .then((all) => all.length),
      ),
    ]);
    return { queues, busy, scheduled, retries, dead, cron };
  }
}

async function known(count: Promise<number>): Promise<number | null> {
  const controller = new AbortController();
  const late = setTimeout(PATIENCE_MS, null, { signal: controller.signal }).catch(() => null);
  try {
    return await Promise.race([count.catch(() => null), late]);
  } finally {
    controller.abort();
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
