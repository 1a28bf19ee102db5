import { Redactor } from '../../core/redact';
import { JobAdmin } from '../../job/admin/job-admin';
import type { JobJsonRules } from '../../job/admin/job-json';
import type { JobClass } from '../../job/definition/job-class';
import { jobNameOf } from '../../job/definition/options';
import type { JobFilter } from '../../job/sets/query';
import { DeliverMailJob } from '../../mailer/message';
import type { OpsContext, PageContext } from '../ui/context';
import type { FlashStore } from '../ui/flash';
import { linkWith } from '../ui/format';
import type { PageLocals } from '../ui/layout';
import { SET_PAGES } from './list-query';

/** What a form on these pages has done. The texts are `jobs.told.<what>`. */
export interface JobFlash {
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
export interface JobPageContext extends PageContext {
  readonly admin: (ctx: Pick<OpsContext, 'ip'>) => JobAdmin;
  readonly flashes: FlashStore<JobFlash>;
  readonly classes: JobClasses;
}

export type RouteModule = (site: JobPageContext) => void;

/** Of the query: what belongs to one showing of a page, not to the page. */
const PASSING = { flash: null, select: null, locale: null, theme: null } as const;

/** Shows a page, and on it what the form before it has done. */
export async function showPage(
  site: JobPageContext,
  ctx: OpsContext,
  view: string,
  locals: PageLocals,
  json?: unknown,
): Promise<void> {
  const told = ctx.state.json ? undefined : await site.flashes.flash(ctx);
  const shared = { told, here: pathWith(ctx, {}) };
  await site.pages.show(ctx, `jobs/${view}`, { ...shared, ...locals }, json);
}

/** This page's address, or another one with its query, with other values in it; null takes one out. */
export function pathWith(
  ctx: OpsContext,
  changes: Readonly<Record<string, string | null>>,
  path: string = ctx.path,
): string {
  return linkWith(path, ctx.querystring, { ...PASSING, ...changes });
}

/** Does what the form asks for, once, and goes on to a page that tells of it. @param back where to. @param repeatable it may be done twice. */
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

/** Where a form says that it came from, if that is one of these pages. */
export function backOf({ state }: OpsContext, usual: string): string {
  const given = state.form.get('back') ?? '';
  if (!/^\/ops\/jobs\/[\x21-\x7e]*$/.test(given) || !URL.canParse(given, 'http://here')) return usual;
  const { pathname, search } = new URL(given, 'http://here');
  return pathname.startsWith('/ops/jobs/') ? pathname + search : usual;
}

/** The app's job classes, which say whether their arguments may be seen. Loaded when the first job is shown. */
export class JobClasses {
  private readonly filter: Redactor;
  private known: ReadonlyMap<string, JobClass> | undefined;

  constructor(private readonly jobs: PageContext['jobs']) {
    this.filter = new Redactor(jobs.filterArguments);
  }

  get(name: string): JobClass | undefined {
    this.known ??= this.load();
    return this.known.get(name);
  }

  rulesFor({ state }: OpsContext): JobJsonRules {
    return {
      everything: state.visitor.role === 'operator',
      jobs: this,
      redactor: this.filter,
    };
  }

  /** Should they not load, no arguments are shown; the job processor tells why. */
  private load(): ReadonlyMap<string, JobClass> {
    const ours: [string, JobClass] = [jobNameOf(DeliverMailJob), DeliverMailJob];
    try {
      return new Map(
        [...this.jobs.classes()].map((each): [string, JobClass] => [jobNameOf(each), each]).concat([ours]),
      );
    } catch {
      return new Map([ours]);
    }
  }
}

/** The façade for one request, which tells the log who asked. */
export function adminFor({ config, redis, knex, events }: PageContext, { ip }: Pick<OpsContext, 'ip'>): JobAdmin {
  const queues = config.jobs.queues.map((queue) => queue.name);
  return new JobAdmin({ redis: redis.client, knex, events, queues, via: `the operator's pages, ${ip}` });
}

/** A list that holds jobs of a kind. */
interface JobPlace {
  /** Of a list; a queue's name where `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Where jobs are that meet a filter, the lists of sets first. @param query the same for an address, as `?q=text`. */
export async function placesOf(admin: JobAdmin, filter: JobFilter, query: string): Promise<JobPlace[]> {
  const lists = SET_PAGES.map(async ({ name }) => {
    return {
      name,
      waiting: false,
      count: await (await admin.set(name)).count(filter),
      href: `/ops/jobs/${name}${query}`,
    };
  });
  const waiting = (await admin.queueNames()).map(async (name) => {
    const count = await admin.waiting(name).count(filter);
    return { name, waiting: true, count, href: `/ops/jobs/queues/${name}${query}` };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}
