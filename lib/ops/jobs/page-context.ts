import { JobAdmin } from '../../job/admin/job-admin';
import { listProcesses } from '../../tree/processors';
import { readFlash, redirectWithFlash } from '../ui/flash';
import type { PageLocals } from '../ui/layout';
import { callerOf, type OpsContext, type PageContext } from '../ui/page-types';
import { linkWith, PASSING } from '../ui/shell';
import { JobClasses } from './job-classes';

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

export interface JobPageContext extends PageContext {
  readonly admin: (ctx: OpsContext) => JobAdmin;
  readonly classes: JobClasses;
}

/** Creates the context. The job classes are loaded before the first of the pages is served. */
export function jobPageContext(site: PageContext): JobPageContext {
  const classes = new JobClasses(site.jobs);
  site.router.use('/ops/jobs', (_, next) => classes.load().then(next));
  return { ...site, admin: (ctx) => adminFor(site, ctx), classes };
}

export type RouteModule = (site: JobPageContext) => void;

/** Values for every job page: the flash of the form that led to it, and its address. */
export function sharedLocals(ctx: OpsContext) {
  return { flash: readFlash<JobFlash>(ctx), here: pathWith(ctx, {}) };
}

/** Shows a page with what all job pages share. */
export async function showPage(
  site: JobPageContext,
  ctx: OpsContext,
  view: string,
  locals: PageLocals,
  json?: unknown,
): Promise<void> {
  await site.layout.show(ctx, `jobs/${view}`, { ...sharedLocals(ctx), ...locals }, json);
}

/** A path with this page's query, changed. @param path default: this page's. */
export function pathWith(
  ctx: OpsContext,
  changes: Readonly<Record<string, string | null>>,
  path: string = ctx.path,
): string {
  return linkWith(path, ctx.querystring, { ...PASSING, ...changes });
}

export const showOutcome: (ctx: OpsContext, back: string, flash: JobFlash) => void = redirectWithFlash;

/** The form's `back` when it is a path of the job pages, else `usual`: other targets would be an open redirect. */
export function readBack({ state }: OpsContext, usual: string): string {
  const back = state.form.get('back') ?? '';
  if (!/^\/ops\/jobs\/[\x21-\x7e]*$/.test(back) || !URL.canParse(back, 'http://here')) return usual;
  const { pathname, search } = new URL(back, 'http://here');
  return pathname.startsWith('/ops/jobs/') ? pathname + search : usual;
}

/** The job admin of one request, whose actions are logged with the request's origin. */
export function adminFor({ config, redis, knex, events }: PageContext, ctx: OpsContext): JobAdmin {
  const queues = config.jobs.queues.map((queue) => queue.name);
  const processes = redis.isOff ? undefined : () => listProcesses(redis.client);
  return new JobAdmin({ processes, knex, events, queues, via: callerOf(ctx) });
}
