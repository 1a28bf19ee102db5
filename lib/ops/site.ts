import path from 'node:path';
import type Router from '@koa/router';
import type Koa from 'koa';
import { lazily } from '../support/lazily';
import { OperatorActs } from '../tree/operator-acts';
import type { Lookout } from '../verdict/lookout';
import { gate } from './access/gate';
import { Sessions } from './access/session';
import { Tries } from './access/tries';
import type { OpsContext, OpsMiddleware, OpsState } from './context';
import { Streams } from './live/event-stream';
import type { OpsOptions } from './options';
import { Assets } from './page/assets';
import { errorPages } from './page/error-page';
import { pageHeaders } from './page/headers';
import type { Counts } from './page/nav';
import { pageTexts, TEXTS } from './page/page-texts';
import { Pages } from './page/pages';
import { preferences } from './page/preferences';
import { pageGroups } from './page-groups';

/** What all pages share. */
export interface SiteParts extends OpsOptions {
  readonly pages: Pages;
  readonly sessions: Sessions;
  readonly tries: Tries;
  readonly streams: Streams;
  /** The numbers in the header. Never rejects; null: not known. */
  readonly counts: () => Promise<Counts>;
  readonly assets: Assets;
  /** One for all pages that tell of trees. */
  readonly lookout: () => Promise<Lookout>;
}

/** What a group of pages has at hand to add its routes. Paths begin with `/ops/`. */
export interface Site extends SiteParts {
  readonly router: Router<OpsState>;
}

/** Adds the routes of some pages. Forms reach them with their token checked, and only from operators. */
export type PageGroup = (site: Site) => void | Promise<void>;

/** What is asked for on every page. Each folder of pages comes with the first of its pages. */
export async function createSite(options: OpsOptions): Promise<Koa.Middleware> {
  new OperatorActs(options.redis, options.events).listen();
  const assets = new Assets(path.join(__dirname, 'assets'), [require.resolve('uplot/dist/uPlot.iife.min.js')]);
  const jobCounts = lazily(async () => new (await import('./jobs/job-counts')).JobCounts(options));
  const counts = async () => (await jobCounts()).read();
  const pages = new Pages({ ...options, folder: path.join(__dirname, 'views'), assets, counts });
  const sessions = new Sessions(options);
  const site: SiteParts = {
    ...options,
    pages,
    assets,
    sessions,
    tries: new Tries(options.redis),
    streams: new Streams(options.isLeaving, (reader) => sessions.hasLeft(reader)),
    counts,
    lookout: lazily(async () => new (await import('../verdict/lookout')).Lookout(options)),
  };
  const open = assetsAreOpen(gate(site));
  return chain([preferences(pageTexts(TEXTS)), pageHeaders(), errorPages(site), open, pageGroups(site)]);
}

/** The sign-in page needs its style sheet; there is nothing to hide in it. */
function assetsAreOpen(guard: OpsMiddleware): OpsMiddleware {
  return (ctx, next) => (ctx.path.startsWith('/ops/assets/') ? next() : guard(ctx, next));
}

/** One middleware of several, in order. What is not answered by any of them stays so. */
function chain(links: readonly OpsMiddleware[]): Koa.Middleware {
  const run = async (ctx: OpsContext, index: number): Promise<void> => {
    await links[index]?.(ctx, () => run(ctx, index + 1));
  };
  return (ctx) => run(ctx as unknown as OpsContext, 0);
}
