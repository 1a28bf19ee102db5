import type { JobFilter } from '../../job/set/filter';
import type { JobSets } from '../../job/set/job-sets';
import { SET_PAGES } from './set-pages';

/** A list that holds jobs of a kind. */
export interface JobPlace {
  /** Of a list; a queue's name where `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Where jobs are that meet a filter, the lists of sets first. @param query the same for an address, as `?q=text`. */
export async function placesOf(
  sets: JobSets,
  queues: readonly string[],
  filter: JobFilter,
  query: string,
): Promise<JobPlace[]> {
  const lists = SET_PAGES.map(async ({ name, set }) => {
    return { name, waiting: false, count: await sets[set].count(filter), href: `/ops/jobs/${name}${query}` };
  });
  const waiting = queues.map(async (name) => {
    const count = await sets.waiting(name).count(filter);
    return { name, waiting: true, count, href: `/ops/jobs/queues/${name}${query}` };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}
