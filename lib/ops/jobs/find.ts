import type { JobAdmin } from '../../job/admin/job-admin';
import type { JobSet } from '../../job/sets/job-set';
import { isRef, type JobFilter } from '../../job/sets/query';
import { jobPath } from '../ui/format';
import type { OpsContext } from '../ui/page-types';
import type { JobPageContext } from './page-context';
import { SET_PAGES } from './set-pages';

/** Path of the page of the job with this id; undefined when there is none. */
export async function findJobPath(site: JobPageContext, ctx: OpsContext, id: string): Promise<string | undefined> {
  if (!isRef({ id })) return undefined;
  const { entry } = await site.admin(ctx).find(id);
  return entry && jobPath(entry);
}

interface JobPlace {
  /** Name of a set; of a queue when `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Lists with jobs that match a filter, sets before queues. @param query the filter as a query, such as `?q=text`. */
export async function findPlaces(admin: JobAdmin, filter: JobFilter, query: string): Promise<JobPlace[]> {
  const lists = SET_PAGES.map(async ({ name }) => {
    return {
      name,
      waiting: false,
      count: await countFound(admin.set(name), filter),
      href: `/ops/jobs/${name}${query}`,
    };
  });
  const waiting = (await admin.queueNames()).map(async (name) => {
    const count = await countFound(admin.set('waiting'), { ...filter, queue: name });
    return { name, waiting: true, count, href: `/ops/jobs/queues/${name}${query}` };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}

/** Counts as the page of the list does, which `href` leads to: a search reads 100,000 jobs at most. */
async function countFound(set: JobSet, filter: JobFilter): Promise<number> {
  return (await set.page({ ...filter, limit: 0 })).total ?? 0;
}
