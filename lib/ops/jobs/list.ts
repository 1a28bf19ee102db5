import type { JobSet } from '../../job/sets/job-set';
import type { JobPage, PageRequest } from '../../job/sets/query';
import { MAX_READ } from '../../job/sets/set-reader';
import { didYouMean } from '../../support/text';
import type { OpsContext } from '../ui/context';
import type { EventStream } from '../ui/event-stream';
import { sendCounts } from '../ui/event-stream';
import { Formatter } from '../ui/format';
import { Paging, PER_PAGE } from '../ui/paging';
import {
  allowedFilters,
  type Filters,
  isFiltering,
  jobFilter,
  readFilters,
  readPage,
  readSort,
  SPANS,
} from './filters';
import { pageJson, showJob } from './job-view';
import { type JobPageContext, pathWith, type RouteModule, showPage } from './page-context';
import type { SetPage } from './set-pages';

/** Number of jobs from which the filters' names of classes and errors are collected. */
const MAX_SAMPLE = 1000;

export function listRoutes(page: SetPage): RouteModule {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(path, (ctx) => showList(site, ctx, page));
    site.router.get(`${path}/events`, (ctx) => listEvents(site, ctx, page));
  };
}

async function showList(site: JobPageContext, ctx: OpsContext, page: SetPage): Promise<void> {
  const { t } = ctx.state;
  const [asked, sort] = [readPage(ctx), readSort(ctx, page)];
  const admin = site.admin(ctx);
  const set = admin.set(page.name);
  const names = await sampleNames(set);
  const filters = filtersFor(ctx, page, names);
  const filter = jobFilter(page, filters, Date.now());
  const newest = await newestAt(set);
  const { entries, total = 0, complete, isPartial } = await read(set, { ...filter, sort }, asked);
  const paging = Paging.of(ctx, total);
  const rules = site.classes.rulesFor(ctx);
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
    maxRead: MAX_READ,
    size,
    filters,
    filtering: isFiltering(filters),
    names: { ...names, queues: await admin.queueNames(), spans: Object.keys(SPANS) },
    meant: rows.length === 0 && filters.q !== '' ? didYouMean(filters.q, withShortNames(names.classes)) : undefined,
    sort: sort ?? { by: 'at', descending: page.newestFirst },
    waitingRetries: page.name === 'dead' && size === 0 ? await admin.size('retry') : 0,
    allHref: pathWith(ctx, { all: '1', page: null, sort: null }, `${ctx.path}/confirm`),
    selected: ctx.query.select === 'page',
    everything: rules.everything,
    to: (changes: Readonly<Record<string, string | null>>) => pathWith(ctx, changes),
    live: pathWith(ctx, { seen: String(page.name === 'dead' ? newest : size) }, `${ctx.path}/events`),
  };
  await showPage(site, ctx, 'list', locals, { jobs: rows.map(pageJson), total, complete });
}

/** The requested page, or the last one when the list has become shorter. */
async function read(set: JobSet, request: PageRequest, asked: number): Promise<JobPage> {
  const offset = (asked - 1) * PER_PAGE;
  const found = await set.page({ ...request, offset, limit: PER_PAGE });
  const { total = 0 } = found;
  if (total === 0 || offset < total) return found;
  const last = Math.floor((total - 1) / PER_PAGE) * PER_PAGE;
  return set.page({ ...request, offset: last, limit: PER_PAGE });
}

/** Adds `SyncInvoice` for `SyncInvoiceJob`. */
function withShortNames(classes: readonly string[]): string[] {
  return classes.flatMap((name) => [name, name.replace(/Job$/, '')]);
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

/** The filters of the query. A viewer must not search hidden texts, since the matches would reveal them. */
function filtersFor(ctx: OpsContext, page: SetPage, names: Names): Filters {
  const filters = readFilters((name) => ctx.query[name], allowedFilters(page));
  if (ctx.state.visitor.role !== 'viewer') return filters;
  return { ...filters, q: '', error: names.errors.includes(filters.error) ? filters.error : '' };
}

/** Interval at which the stream of an open page reads the stores, ms. */
const LOOK_MS = 1000;

/** New values of an element by its id: texts by their `data-n`, and the share from 0 to 1 that its bar shows. */
export interface Patch {
  readonly id: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly share?: number | null;
}

/** Answers with a stream that sends the header's numbers and then calls `look`, every second. */
export function watch(site: JobPageContext, ctx: OpsContext, look: (stream: EventStream) => Promise<void>): void {
  const format = Formatter.of(ctx);
  const stream = site.streams.begin(ctx);
  stream.every(LOOK_MS, async () => {
    // The header comes first: its numbers may be readable when the page's data is not.
    await sendCounts(stream, site, format);
    await look(stream);
    stream.send('tick');
  });
}

/**
 * Announces changes to an open list: how many matching jobs have died since it was rendered, or that the size of the
 * retry or scheduled set has changed. Both are cheap to read, whatever the size of the set.
 */
function listEvents(site: JobPageContext, ctx: OpsContext, page: SetPage): void {
  const { t, visitor } = ctx.state;
  const filters =
    visitor.role === 'viewer'
      ? { ...readFilters((name) => ctx.query[name]), q: '', error: '' }
      : readFilters((name) => ctx.query[name]);
  const seen = Number(ctx.query.seen) || 0;
  watch(site, ctx, async (stream) => {
    const set = site.admin(ctx).set(page.name);
    if (page.name !== 'dead') {
      if ((await set.count()) !== seen) stream.sendWhenNew('news', { text: t('jobs.changed') });
      return;
    }
    const filter = jobFilter(page, filters, Date.now());
    const since = new Date(Math.max(seen + 1, filter.since?.getTime() ?? 0));
    const count = await set.count({ ...filter, since });
    if (count > 0) stream.sendWhenNew('news', { text: t('jobs.news', { count }) });
  });
}

/** Latest time of a set's jobs, ms since 1970: of death, or of the next run. 0 when the set is empty. */
async function newestAt(set: JobSet): Promise<number> {
  const { entries } = await set.page({ limit: 1, count: false, sort: { by: 'at', descending: true } });
  return entries[0]?.at?.getTime() ?? 0;
}
