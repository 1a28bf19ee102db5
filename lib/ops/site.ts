import path from 'node:path';
import Router from '@koa/router';
import type Koa from 'koa';
import { loadI18n } from '../core/i18n';
import { unrouted } from '../web/unrouted';
import { gate } from './access/gate';
import { Sessions } from './access/session';
import { signInRoutes } from './access/sign-in';
import { Tries } from './access/tries';
import type { OpsContext, OpsMiddleware, OpsState } from './context';
import { JobCounts } from './jobs/job-counts';
import { JobDesk } from './jobs/job-desk';
import { jobRoutes } from './jobs/routes';
import { Streams } from './live/event-stream';
import { mailRoutes } from './mail/routes';
import type { OpsOptions } from './options';
import { overviewRoutes } from './overview/routes';
import { Assets, assetRoutes } from './page/assets';
import { errorPages } from './page/error-page';
import { pageHeaders } from './page/headers';
import type { Counts } from './page/nav';
import { Pages } from './page/pages';
import { preferences } from './page/preferences';

/** What a group of pages has at hand to add its routes. Paths begin with `/ops/`. */
export interface Site extends OpsOptions {
  readonly router: Router<OpsState>;
  readonly pages: Pages;
  readonly sessions: Sessions;
  readonly tries: Tries;
  readonly streams: Streams;
  /** The numbers in the header. Never rejects; null: not known. */
  readonly counts: () => Promise<Counts>;
}

/** Adds the routes of some pages. Forms reach them with their token checked, and only from operators. */
export type PageGroup = (site: Site) => void;

/** Folders of texts, by the folder of the pages that they are for. */
const TEXTS = ['locales', 'overview/locales', 'jobs/locales'];

const GROUPS: readonly PageGroup[] = [signInRoutes, overviewRoutes, jobRoutes, mailRoutes];

export async function createSite(options: OpsOptions): Promise<Koa.Middleware> {
  const i18n = await loadI18n(
    TEXTS.map((folder) => path.join(__dirname, folder)),
    'en',
  );
  const assets = new Assets(path.join(__dirname, 'assets'), [require.resolve('uplot/dist/uPlot.iife.min.js')]);
  const jobCounts = new JobCounts(new JobDesk(options));
  const counts = () => jobCounts.read();
  const pages = new Pages({ ...options, folder: path.join(__dirname, 'views'), assets, counts });
  const router = new Router<OpsState>();
  const sessions = await Sessions.create(options);
  const site: Site = {
    ...options,
    router,
    pages,
    sessions,
    tries: new Tries(options.redis),
    streams: new Streams(options.isLeaving),
    counts,
  };
  assetRoutes(router, assets);
  for (const group of GROUPS) group(site);
  const open = assetsAreOpen(gate(site));
  return chain([preferences(i18n), pageHeaders(), errorPages(site), open, unrouted(router as Router), router.routes()]);
}

/** The sign-in page needs its style sheet; there is nothing to hide in it. */
function assetsAreOpen(guard: OpsMiddleware): OpsMiddleware {
  return (ctx, next) => (ctx.path.startsWith('/ops/assets/') ? next() : guard(ctx, next));
}

/** One middleware of several, in order. What is not answered by any of them stays so. */
function chain(links: readonly unknown[]): Koa.Middleware {
  const middlewares = links as readonly OpsMiddleware[];
  const run = async (ctx: OpsContext, index: number): Promise<void> => {
    await middlewares[index]?.(ctx, () => run(ctx, index + 1));
  };
  return (ctx) => run(ctx as unknown as OpsContext, 0);
}
