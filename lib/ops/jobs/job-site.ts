import type { OpsContext } from '../context';
import type { Deeds } from '../page/deeds';
import { viaWords } from '../page/doings';
import type { PageLocals } from '../page/pages';
import { TimeWords } from '../page/time-words';
import type { Site } from '../site';
import type { JobClasses } from './job-classes';
import type { JobDesk } from './job-desk';

/** What a form on these pages has done. The texts are `jobs.told.<what>`. */
export interface JobDeed {
  readonly what: string;
  /** A queue, a recurring job. */
  readonly name?: string;
  /** Jobs that were moved, of so many. */
  readonly moved?: number;
  readonly asked?: number;
  /** false: it took too long, and ended before its end. */
  readonly complete?: boolean;
}

/** What the pages of jobs have at hand. */
export interface JobSite extends Site {
  readonly desk: JobDesk;
  readonly deeds: Deeds<JobDeed>;
  readonly classes: JobClasses;
}

export type JobPages = (site: JobSite) => void;

/** Of the query: what belongs to one showing of a page, not to the page. */
const PASSING = ['did', 'select', 'locale', 'theme'];

/** Shows a page, and on it what the form before it has done. */
export async function showPage(
  site: JobSite,
  ctx: OpsContext,
  view: string,
  locals: PageLocals,
  json?: unknown,
): Promise<void> {
  const time = new TimeWords(ctx.state.t, new Date());
  const told = ctx.state.json ? undefined : await site.deeds.told(ctx);
  const who = (by: string) => viaWords(by, ctx.state.t);
  const shared = { time, told, who, here: pathWith(ctx, {}) };
  await site.pages.show(ctx, `jobs/${view}`, { ...shared, ...locals }, json);
}

/** This page's address with other values in its query; null takes one out. */
export function pathWith(ctx: OpsContext, changes: Readonly<Record<string, string | null>>): string {
  const query = new URLSearchParams(ctx.querystring);
  for (const name of PASSING) query.delete(name);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === '' ? ctx.path : `${ctx.path}?${text}`;
}

/** Does what the form asks for, once, and goes on to a page that tells of it. @param back where to. */
export async function actOnce(
  site: JobSite,
  ctx: OpsContext,
  back: string,
  work: () => Promise<JobDeed>,
): Promise<void> {
  const did = await site.deeds.once(ctx, work);
  const target = new URL(back, 'http://here');
  target.searchParams.set('did', did);
  ctx.status = 303;
  ctx.redirect(target.pathname + target.search);
}

/** Where a form says that it came from, if that is one of these pages. */
export function backOf({ state }: OpsContext, usual: string): string {
  const given = state.form.get('back') ?? '';
  if (!/^\/ops\/jobs\/[\x21-\x7e]*$/.test(given) || !URL.canParse(given, 'http://here')) return usual;
  const { pathname, search } = new URL(given, 'http://here');
  return pathname.startsWith('/ops/jobs/') ? pathname + search : usual;
}
