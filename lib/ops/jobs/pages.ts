import { Redactor } from '../../core/redact';
import { actionsOn, JobAdmin, type ListedSet } from '../../job/admin/job-admin';
import type { JobJsonRules } from '../../job/admin/job-json';
import type { JobClass } from '../../job/definition/job-class';
import { jobNameOf } from '../../job/definition/options';
import { checkQueue, type JobAction, type JobFilter, SORT_KEYS, type Sort, type SortKey } from '../../job/sets/query';
import { DeliverMailJob } from '../../mailer/message';
import type { OpsContext, PageContext } from '../ui/context';
import { FlashStore } from '../ui/flash';
import type { PageLocals } from '../ui/layout';
import { linkWith, localizedProblem } from '../ui/shell';

/** The outcome of a form on the job pages. The texts are `jobs.flash.<what>`. */
export interface JobFlash {
  readonly what: string;
  /** Name of the queue or recurring job. */
  readonly name?: string;
  /** Number of jobs moved, of `asked`. */
  readonly moved?: number;
  readonly asked?: number;
  /** false when the action was stopped because it took too long. */
  readonly complete?: boolean;
}

/** The context of the job pages. */
export interface JobPageContext extends PageContext {
  readonly admin: (ctx: Pick<OpsContext, 'ip'>) => JobAdmin;
  readonly flashes: FlashStore<JobFlash>;
  readonly classes: JobClasses;
}

/** Creates the context. The job classes are loaded before the first of the pages is served. */
export function jobPageContext(site: PageContext): JobPageContext {
  const classes = new JobClasses(site.jobs);
  site.router.use('/ops/jobs', (_, next) => classes.load().then(next));
  const flashes = new FlashStore<JobFlash>(site);
  return { ...site, admin: (ctx) => adminFor(site, ctx), flashes, classes };
}

export type RouteModule = (site: JobPageContext) => void;

/** Parts of the query that belong to one view of a page, so that links from it leave them out. */
const PASSING = { flash: null, select: null, locale: null, theme: null } as const;

/** Shows a page with the flash of the form that led to it. */
export async function showPage(
  site: JobPageContext,
  ctx: OpsContext,
  view: string,
  locals: PageLocals,
  json?: unknown,
): Promise<void> {
  const flash = ctx.state.json ? undefined : await site.flashes.flash(ctx);
  const shared = { flash, here: pathWith(ctx, {}) };
  await site.pages.show(ctx, `jobs/${view}`, { ...shared, ...locals }, json);
}

/** A path with this page's query, changed. @param path default: this page's. */
export function pathWith(
  ctx: OpsContext,
  changes: Readonly<Record<string, string | null>>,
  path: string = ctx.path,
): string {
  return linkWith(path, ctx.querystring, { ...PASSING, ...changes });
}

/**
 * Does the work of a form once and redirects to `back` with its flash.
 * @param repeatable true for work that may run twice; see `FlashStore.once`.
 */
export async function actOnce(
  site: JobPageContext,
  ctx: OpsContext,
  back: string,
  work: () => Promise<JobFlash>,
  repeatable = false,
): Promise<void> {
  const id = await site.flashes.once(ctx, work, repeatable);
  const { pathname, search } = new URL(back, 'http://here');
  ctx.status = 303;
  ctx.redirect(linkWith(pathname, search, { flash: id ?? null }));
}

/** The form's `back` when it is a path of the job pages, else `usual`: other targets would be an open redirect. */
export function backOf({ state }: OpsContext, usual: string): string {
  const given = state.form.get('back') ?? '';
  if (!/^\/ops\/jobs\/[\x21-\x7e]*$/.test(given) || !URL.canParse(given, 'http://here')) return usual;
  const { pathname, search } = new URL(given, 'http://here');
  return pathname.startsWith('/ops/jobs/') ? pathname + search : usual;
}

/** The app's job classes, which decide how arguments are redacted. They are loaded with the first of the job pages. */
export class JobClasses {
  private readonly filter: Redactor;
  private loading: Promise<void> | undefined;
  private known: ReadonlyMap<string, JobClass> = new Map([[jobNameOf(DeliverMailJob), DeliverMailJob]]);

  constructor(private readonly jobs: PageContext['jobs']) {
    this.filter = new Redactor(jobs.filterArguments);
  }

  get(name: string): JobClass | undefined {
    return this.known.get(name);
  }

  rulesFor({ state }: OpsContext): JobJsonRules {
    return {
      everything: state.visitor.role === 'operator',
      jobs: this,
      redactor: this.filter,
    };
  }

  /** Loads them once. When they do not load, no arguments are shown. The job processor logs the reason. */
  load(): Promise<void> {
    this.loading ??= this.jobs.classes().then(
      (classes) => {
        const theirs = [...classes].map((each): [string, JobClass] => [jobNameOf(each), each]);
        this.known = new Map([...theirs, ...this.known]);
      },
      () => undefined,
    );
    return this.loading;
  }
}

/** The job admin of one request, whose actions are logged with the request's origin. */
export function adminFor({ config, redis, knex, events }: PageContext, { ip }: Pick<OpsContext, 'ip'>): JobAdmin {
  const queues = config.jobs.queues.map((queue) => queue.name);
  return new JobAdmin({ redis: redis.client, knex, events, queues, via: `pages:${ip}` });
}

/** A list with jobs that match a filter. */
interface JobPlace {
  /** Name of a set; of a queue when `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Lists with jobs that match a filter, sets before queues. @param query the filter as a query, such as `?q=text`. */
export async function placesOf(admin: JobAdmin, filter: JobFilter, query: string): Promise<JobPlace[]> {
  const lists = SET_PAGES.map(async ({ name }) => {
    return {
      name,
      waiting: false,
      count: await admin.set(name).count(filter),
      href: `/ops/jobs/${name}${query}`,
    };
  });
  const waiting = (await admin.queueNames()).map(async (name) => {
    const count = await admin.set('waiting').count({ ...filter, queue: name });
    return { name, waiting: true, count, href: `/ops/jobs/queues/${name}${query}` };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}

/** Spans of the time filter into the past or the future, ms. */
export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;
type SpanName = keyof typeof SPANS;

/** Filters of a list, besides its order and page. Their values are texts, '' for any. */
const FILTERS = ['q', 'class', 'queue', 'error', 'tag', 'when', 'failed'] as const;
export type Filters = Readonly<Record<(typeof FILTERS)[number], string>>;

/** Maximum length of a filter's value, characters. */
const MAX_LENGTH = 1000;
const NO_FILTERS: Filters = { q: '', class: '', queue: '', error: '', tag: '', when: '', failed: '' };
/** Filters whose value is the name of a span. */
const TIMES = ['when', 'failed'] as const;

/** Reads the allowed filters. @throws ProblemError 400 that names the invalid one. */
export function readFilters(given: (name: string) => unknown, allowed: readonly (keyof Filters)[] = FILTERS): Filters {
  const filters: Record<string, string> = { ...NO_FILTERS };
  for (const name of allowed) filters[name] = readText(name, given(name));
  const { queue } = filters as Filters;
  if (queue !== '') orRefuse('queue', queue, () => checkQueue(queue));
  for (const name of TIMES) {
    const { [name]: span = '' } = filters;
    if (span !== '' && !Object.hasOwn(SPANS, span)) throw badQuery(name, span, 'when');
  }
  return filters as Filters;
}

function readText(name: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw localizedProblem(400, 'queryTwice', { values: { name } });
  const text = value.trim();
  if (text.length > MAX_LENGTH || text.includes('\0')) throw badQuery(name === 'q' ? 'text' : name, text, 'text');
  return text;
}

/** The filters of a set's list. Only failed jobs have errors; for the dead, `when` is already the time of failure. */
export function filtersOf(page: Pick<SetPage, 'failed' | 'name'>): readonly (keyof Filters)[] {
  return FILTERS.filter((name) => (name !== 'error' || page.failed) && (name !== 'failed' || page.name === 'retry'));
}

export function isFiltering(filters: Filters): boolean {
  return FILTERS.some((name) => filters[name] !== '');
}

/**
 * @param now reference of the spans, ms since 1970.
 * @param frozen true excludes jobs that died after `now`, so that a number shown for confirmation stays valid.
 */
export function jobFilter(page: Pick<SetPage, 'name'>, filters: Filters, now: number, frozen = false): JobFilter {
  const { q, class: className, queue, error, tag, when, failed } = filters;
  const span = when === '' ? undefined : SPANS[when as SpanName];
  const failedWithin = failed === '' ? undefined : SPANS[failed as SpanName];
  const dead = page.name === 'dead';
  return {
    text: q,
    class: className,
    queue,
    error,
    tag,
    failedSince: failedWithin === undefined ? undefined : new Date(now - failedWithin),
    since: dead && span !== undefined ? new Date(now - span) : undefined,
    until: dead ? (frozen ? new Date(now) : undefined) : span === undefined ? undefined : new Date(now + span),
  };
}

/** Reads the order: `class`, or `-class` for descending. @throws ProblemError 400 when the set cannot be sorted so. */
export function readSort({ query }: OpsContext, { sorts }: Pick<SetPage, 'sorts'>): Sort | undefined {
  const { sort } = query;
  if (sort === undefined) return undefined;
  const [, minus, key] = /^(-?)(\w+)$/.exec(String(sort)) ?? [];
  const by = SORT_KEYS.find((each: SortKey) => each === key);
  if (typeof sort !== 'string' || by === undefined || !sorts.includes(by)) throw badQuery('sort', String(sort));
  return { by, descending: minus === '-' };
}

/** Reads the page's number, from 1. @throws ProblemError 400 when it is invalid. */
export function readPage({ query }: OpsContext): number {
  const { page = '1' } = query;
  if (typeof page !== 'string' || !/^[1-9]\d{0,8}$/.test(page)) throw badQuery('page', String(page));
  return Number(page);
}

/** A 400 for a part of the query. @param reason key of the text `errors.badQuery.<reason>`, by default the name. */
export function badQuery(name: string, value: string, reason = name) {
  const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return localizedProblem(400, `badQuery.${reason}`, { values: { name, value: shown } });
}

function orRefuse(name: string, value: string, check: () => void): void {
  try {
    check();
  } catch {
    throw badQuery(name, value);
  }
}

/** A set of jobs with a paged list. The texts are `jobs.<name>`. */
export interface SetPage {
  readonly name: ListedSet;
  /** Actions on its jobs. The texts are `jobs.actions.<name>`. */
  readonly actions: readonly JobAction[];
  /** Its default order by time. */
  readonly newestFirst: boolean;
  readonly sorts: readonly SortKey[];
  /** True when its jobs have failed, so that they have errors and attempts. */
  readonly failed: boolean;
}

const FAILED: readonly SortKey[] = ['class', 'queue', 'error', 'attempts', 'at'];

function setPage(name: ListedSet, sorts: readonly SortKey[], newestFirst = false): SetPage {
  return { name, actions: actionsOn(name), newestFirst, sorts, failed: sorts === FAILED };
}

export const SET_PAGES: readonly SetPage[] = [
  setPage('scheduled', ['class', 'queue', 'at']),
  setPage('retry', FAILED),
  setPage('dead', FAILED, true),
];

/** True for actions that destroy nothing; on jobs that were ticked they need no confirmation. */
export function isHarmless(action: JobAction): boolean {
  return action === 'retry' || action === 'promote';
}
