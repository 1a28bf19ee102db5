import type { JobEntry } from '../../job/sets/entry';
import type { PageContext } from '../ui/page-types';

import { Deliveries } from './deliveries';
import { deliveryPath } from './deliveries-page';
import { type DeliveryWithJob, withJobs } from './deliveries-with-jobs';

type JobMail = DeliveryWithJob & {
  readonly href: string;
};

/** Maximum number of mails that are listed. One more is read, to show whether there are others. */
export const MAX_MAILS = 20;

/** Mails that a job sent or tried to send, in order; undefined when Postgres is down. */
export async function readMails(
  site: Pick<PageContext, 'config' | 'redis' | 'knex'>,
  { id, enqueuedAt }: Pick<JobEntry, 'id' | 'enqueuedAt'>,
): Promise<readonly JobMail[] | undefined> {
  // Without that time all records would have to be searched.
  if (!enqueuedAt) return [];
  try {
    const rows = await new Deliveries(site.knex).ofJob(id, enqueuedAt, MAX_MAILS + 1);
    const withTheirJobs = rows.length === 0 ? [] : await withJobs(site, rows);
    return withTheirJobs.map((row) => ({ ...row, href: deliveryPath(row) }));
  } catch {
    return undefined;
  }
}
