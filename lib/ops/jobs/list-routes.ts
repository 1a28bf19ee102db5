import { InvalidRequestError } from '../../job/set/invalid-request';
import type { JobSet } from '../../job/set/job-set';
import type { JobPage, PageRequest } from '../../job/set/page';
import { closest } from '../../support/closest';
import type { OpsContext } from '../context';
import { Paging, PER_PAGE } from '../page/paging';
import { type JobPages, type JobSite, pathWith, showPage } from './job-site';
import { type Filters, filtersOf, isFiltering, jobFilter, readFilters, readPage, readSort, SPANS } from './list-query';
import { listEvents, newestAt } from './news';
import { actNames, type SetPage } from './set-pages';
import { showJob } from './shown-job';

/** The names of classes and errors that a filter offers are of so many jobs. */
const SAMPLE = 1000;

/** The list of a set. */
export function listRoutes(page: SetPage): JobPages {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(path, (ctx) => showList(site, ctx, page));
    site.router.get(`${path}/events`, (ctx) => listEvents(site, ctx, page));
  };
}

async function showList(site: JobSite, ctx: OpsContext, page: SetPage): Promise<void> {
  const { t } = ctx.state;
  const [asked, sort] = [readPage(ctx), readSort(ctx, page)];
  const sets = await site.desk.sets(ctx);
  const set = sets[page.set];
  const names = await sampleNames(set);
  const filters = filtersFor(ctx, page, names);
  const filter = jobFilter(page, filters, Date.now());
  const newest = await newestAt(set);
  const { entries, total = 0, complete, unsorted } = await read(set, { ...filter, sort }, asked);
  const paging = Paging.of(ctx, total);
  const rules = site.classes.rulesFor(ctx);
  const rows = entries.map((entry) => showJob(entry, rules));
  const size = isFiltering(filters) ? await set.size() : total;
  const locals = {
    title: t(`jobs.${page.name}.title`),
    page,
    acts: actNames(page),
    rows,
    paging,
    complete,
    unsorted,
    size,
    filters,
    filtering: isFiltering(filters),
    names: { ...names, queues: await site.desk.queues(ctx).names(), spans: Object.keys(SPANS) },
    meant: rows.length === 0 && filters.q !== '' ? closest(filters.q, withShortNames(names.classes)) : undefined,
    sort: sort ?? { by: 'at', descending: page.newestFirst },
    waitingRetries: page.set === 'dead' && size === 0 ? await sets.retry.size() : 0,
    allHref: pathWith(ctx, { all: '1', page: null, sort: null }).replace(ctx.path, `${ctx.path}/confirm`),
    selected: ctx.query.select === 'page',
    everything: rules.everything,
    to: (changes: Readonly<Record<string, string | null>>) => pathWith(ctx, changes),
    live: pathWith(ctx, { seen: String(page.set === 'dead' ? newest : size) }).replace(ctx.path, `${ctx.path}/events`),
  };
  await showPage(site, ctx, 'list', locals, { jobs: rows, total, complete });
}

/** The page that is asked for; of a list that has become shorter, the last one. */
async function read(
  set: JobSet,
  request: PageRequest,
  asked: number,
): Promise<JobPage & { readonly unsorted: boolean }> {
  const offset = (asked - 1) * PER_PAGE;
  try {
    const found = await set.page({ ...request, offset, limit: PER_PAGE });
    const { total = 0 } = found;
    if (total === 0 || offset < total) return { ...found, unsorted: false };
    const last = Math.floor((total - 1) / PER_PAGE) * PER_PAGE;
    return { ...(await set.page({ ...request, offset: last, limit: PER_PAGE })), unsorted: false };
  } catch (thrown) {
    // Too many to sort by anything but their time.
    if (!(thrown instanceof InvalidRequestError) || request.sort === undefined || request.sort.by === 'at')
      throw thrown;
    return { ...(await read(set, { ...request, sort: undefined }, asked)), unsorted: true };
  }
}

/** `SyncInvoice`, too, of `SyncInvoiceJob`. */
function withShortNames(classes: readonly string[]): string[] {
  return classes.flatMap((name) => [name, name.replace(/Job$/, '')]);
}

interface Names {
  readonly classes: readonly string[];
  readonly errors: readonly string[];
}

async function sampleNames(set: JobSet): Promise<Names> {
  const { jobs } = await set.outlines({}, SAMPLE);
  return { classes: sorted(jobs.map((job) => job.class)), errors: sorted(jobs.map((job) => job.error)) };
}

function sorted(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names)].filter((name) => name !== undefined).sort();
}

/** A viewer searches in nothing that is hidden: what is found would tell it. */
function filtersFor(ctx: OpsContext, page: SetPage, names: Names): Filters {
  const filters = readFilters((name) => ctx.query[name], filtersOf(page));
  if (ctx.state.visitor.role !== 'viewer') return filters;
  return { ...filters, q: '', error: names.errors.includes(filters.error) ? filters.error : '' };
}
