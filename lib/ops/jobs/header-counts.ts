import { TABLES } from '../../core/config';
import { countSql } from '../../job/sets/set-reader';
import { valueWithin } from '../../support/deadline';
import type { Counts } from '../ui/layout';
import type { OpsOptions } from '../ui/page-types';

/** Pages rendered within this time share the numbers, ms. */
const FRESH_MS = 250;
/** Maximum time that a header waits for its numbers, ms. */
const PATIENCE_MS = 1000;
const UNKNOWN: Counts = { queues: null, busy: null, scheduled: null, retry: null, dead: null, cron: null };

/**
 * Numbers in every page's header, of each set 10,000 at most. It loads no modules of the job pages. Numbers that are late are null
 * (unknown). Nothing is counted while a count before has no answer, as of a locked table: it would only take the connections of
 * other pages.
 */
export class JobCounts {
  private latest: { readonly counts: Promise<Counts>; readonly at: number } | undefined;
  private isCounting = false;

  constructor(private readonly knex: OpsOptions['knex']) {}

  /** @param freshMs numbers of this age will do. */
  read(freshMs = FRESH_MS): Promise<Counts> {
    const now = Date.now();
    if (!this.latest || (now - this.latest.at > freshMs && !this.isCounting))
      this.latest = { counts: valueWithin(this.count(), PATIENCE_MS, UNKNOWN), at: now };
    return this.latest.counts;
  }

  private async count(): Promise<Counts> {
    this.isCounting = true;
    try {
      const { rows } = await this.knex.raw<{ rows: Counts[] }>(
        `select ${countSql('waiting')} + ${countSql('blocked')} as queues, ${countSql('active')} as busy,
           ${countSql('scheduled')} as scheduled, ${countSql('retry')} as retry, ${countSql('dead')} as dead,
           (select count(*)::int from ${TABLES.cron}) as cron`,
      );
      return rows[0] ?? UNKNOWN;
    } finally {
      this.isCounting = false;
    }
  }
}
