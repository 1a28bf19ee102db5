import type { JobSet } from '../../job/set/job-set';
import type { OpsContext } from '../context';
import type { EventStream } from '../live/event-stream';
import { tellCounts } from '../live/tell-counts';
import { Format } from '../page/format';
import type { JobSite } from './job-site';
import { jobFilter, readFilters } from './list-query';
import type { SetPage } from './set-pages';

/** How often a page that is open looks for news, ms. */
const LOOK_MS = 1000;

/** A row of a page, or another part that has an id, as it is now: texts by their `data-n`, the share that its bar shows. */
export interface Patch {
  readonly id: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly share?: number | null;
}

/** Answers with a stream that looks once a second, and tells of the header's numbers besides. */
export function watch(site: JobSite, ctx: OpsContext, look: (stream: EventStream) => Promise<void>): void {
  const format = new Format(ctx.state.locale);
  const stream = site.streams.begin(ctx);
  stream.every(LOOK_MS, async () => {
    // Though the page cannot be looked at now, its header may be.
    await tellCounts(stream, site, format);
    await look(stream);
    stream.send('tick');
  });
}

/**
 * Tells a list that is open of jobs that have come since: how many have died, or that retries or scheduled jobs are
 * others. It counts only what is new, and looks through a whole set only when its size has changed.
 */
export function listEvents(site: JobSite, ctx: OpsContext, page: SetPage): void {
  const { t, visitor } = ctx.state;
  const filters =
    visitor.role === 'viewer'
      ? { ...readFilters((name) => ctx.query[name]), q: '', error: '' }
      : readFilters((name) => ctx.query[name]);
  const seen = Number(ctx.query.seen) || 0;
  watch(site, ctx, async (stream) => {
    const set = (await site.desk.sets(ctx))[page.set];
    if (page.set !== 'dead') {
      if ((await set.size()) !== seen) stream.sendWhenNew('news', { text: t('jobs.changed') });
      return;
    }
    const filter = jobFilter(page, filters, Date.now());
    const since = new Date(Math.max(seen + 1, filter.since?.getTime() ?? 0));
    const count = await set.count({ ...filter, since });
    if (count > 0) stream.sendWhenNew('news', { text: t('jobs.news', { count }) });
  });
}

/** When the newest of a set died, or is to run, ms since 1970; 0 when it is empty. */
export async function newestAt(set: JobSet): Promise<number> {
  const { entries } = await set.page({ limit: 1, count: false, sort: { by: 'at', descending: true } });
  return entries[0]?.at?.getTime() ?? 0;
}
