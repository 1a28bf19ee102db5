import type { JobJsonRules } from '../../job/admin/job-json';
import type { JobEntry } from '../../job/sets/entry';
import type { PageContext } from '../ui/context';

import { Deliveries, deliveryPath, withoutAddresses } from './deliveries';
import { type ToldDelivery, withJobs } from './mail-jobs';

/** A mail on the page of its job. */
type JobMail = ToldDelivery & {
  /** Its page; null for those who may not see it. */
  readonly href: string | null;
};

/** So many mails are listed, and one more says that there are others. */
export const MAILS_SHOWN = 20;

/** The mails that a job has sent, or tried to, in the order in which it began them; undefined when Postgres does not answer. */
export async function mailsOf(
  site: Pick<PageContext, 'config' | 'redis' | 'knex'>,
  { id, enqueuedAt }: Pick<JobEntry, 'id' | 'enqueuedAt'>,
  { everything }: Pick<JobJsonRules, 'everything'>,
): Promise<readonly JobMail[] | undefined> {
  if (!enqueuedAt) return [];
  try {
    const rows = await new Deliveries(site.knex).ofJob(id, enqueuedAt, MAILS_SHOWN + 1);
    const told = rows.length === 0 ? [] : await withJobs(site, rows);
    return told.map((row) =>
      everything ? { ...row, href: deliveryPath(row) } : { ...withoutAddresses(row), href: null },
    );
  } catch {
    return undefined;
  }
}
