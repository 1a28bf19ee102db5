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

/**
 * Lists with jobs that match a filter, sets before queues, and the first jobs of each. A search reads 100,000 jobs of one at
 * most, as the page of the list does, which `href` leads to. @param query the filter as a query, such as `?q=text`.
 */
export async function findPlaces(admin: JobAdmin, filter: JobFilter, query: string, limit = 0) {
  const look = async (list: Omit<JobPlace, 'count'>, set: JobSet, queue?: string) => {
    const { total = 0, entries } = await set.page({ ...filter, queue, limit });
    return { place: { ...list, count: total }, entries };
  };
  const lists = SET_PAGES.map(({ name }) =>
    look({ name, waiting: false, href: `/ops/jobs/${name}${query}` }, admin.set(name)),
  );
  const waiting = (await admin.queueNames()).map((name) =>
    look({ name, waiting: true, href: `/ops/jobs/queues/${name}${query}` }, admin.set('waiting'), name),
  );
  const found = await Promise.all([...lists, ...waiting]);
  return {
    places: found.flatMap(({ place }): JobPlace[] => (place.count > 0 ? [place] : [])),
    entries: found.flatMap(({ entries }) => entries),
  };
}
