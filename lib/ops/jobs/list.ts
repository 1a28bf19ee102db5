import type { JobSet } from '../../job/sets/job-set';
import type { OpsContext } from '../ui/page-types';
import { Paging, PER_PAGE } from '../ui/paging';
import { allowedFilters, isFiltering, jobFilter, readFilters, SPANS } from './filters';
import { pageJson, showJob } from './job-view';
import { type JobPageContext, pathWith, type RouteModule, showPage } from './page-context';
import type { SetPage } from './set-pages';

/** Number of jobs from which the filters' names of classes and errors are collected. */
const MAX_SAMPLE = 1000;

export function listRoutes(page: SetPage): RouteModule {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(path, (ctx) => showList(site, ctx, page));
  };
}

async function showList(site: JobPageContext, ctx: OpsContext, page: SetPage): Promise<void> {
  const { t } = ctx.state;
  const admin = site.admin(ctx);
  const set = admin.set(page.name);
  const names = await sampleNames(set);
  const filters = readFilters((name) => ctx.query[name], allowedFilters(page));
  const filter = jobFilter(page.name, filters, Date.now());
  const read = (offset: number) => set.page({ ...filter, offset, limit: PER_PAGE });
  const { entries, total = 0, complete, isPartial, mostRead, paging } = await Paging.read(ctx, read);
  const rules = site.classes.rules;
  const rows = entries.map((entry) => showJob(entry, rules));
  const size = isFiltering(filters) ? await set.count() : total;
  const locals = {
    title: t(`jobs.${page.name}.title`),
    page,
    actions: page.actions,
    rows,
    paging,
    complete,
    isPartial,
    maxRead: mostRead,
    size,
    filters,
    filtering: isFiltering(filters),
    names: { ...names, queues: await admin.queueNames(), spans: Object.keys(SPANS) },
    waitingRetries: page.name === 'dead' && size === 0 ? await admin.size('retry') : 0,
    allHref: pathWith(ctx, { all: '1', page: null }, `${ctx.path}/confirm`),
    selected: ctx.query.select === 'page',
    to: (changes: Readonly<Record<string, string | null>>) => pathWith(ctx, changes),
  };
  await showPage(site, ctx, 'list', locals, { jobs: rows.map(pageJson), total, complete });
}

interface Names {
  readonly classes: readonly string[];
  readonly errors: readonly string[];
}

async function sampleNames(set: JobSet): Promise<Names> {
  const { classes, errors } = await set.sample(MAX_SAMPLE);
  return { classes: sorted(classes), errors: sorted(errors) };
}

function sorted(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names)].filter((name) => name !== undefined).sort();
}
