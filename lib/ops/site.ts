import path from 'node:path';
import Router from '@koa/router';
import type Koa from 'koa';
import { onNotable } from '../core/notable-events';
import { lazy } from '../support/lazy';
import { allowedMethods, explainMissing } from '../web/missing';
import { AuditLog } from './audit/audit-log';
import { authenticate } from './auth/access';
import { Sessions } from './auth/sessions';
import type { AuthParts } from './auth/sign-in';
import { signInRoutes } from './auth/sign-in';
import { SignInThrottle } from './auth/sign-in-throttle';
import { Assets, assetRoutes } from './ui/assets';
import { errorPages } from './ui/error-pages';
import { Streams } from './ui/event-stream';
import { COUNTS, Layout } from './ui/layout';
import { streamCounts } from './ui/live-page';
import type { OpsContext, OpsMiddleware, OpsOptions, OpsState, PageContext } from './ui/page-types';
import { pageHeaders, preferences } from './ui/shell';
import { pageTexts, TEXTS } from './ui/texts';

/** The middleware of all pages. It loads what every page needs; each folder of pages loads with its first request. */
export async function createSite(options: OpsOptions): Promise<Koa.Middleware> {
  const { redis, events, tree } = options;
  // If the primary does not answer, that is reported elsewhere; the action is in the log anyway.
  onNotable(events, ['web'], (event) => tree.recordEvent(event).catch(() => undefined));
  new AuditLog(options.knex, events).follow();
  const assets = new Assets(path.join(__dirname, 'assets'), [require.resolve('uplot/dist/uPlot.iife.min.js')]);
  const jobCounts = lazy(async () => new (await import('./jobs/header-counts')).JobCounts(options.knex));
  const counts = async (freshMs?: number) => (await jobCounts()).read(freshMs);
  const layout = new Layout({ ...options, folder: path.join(__dirname, 'views'), assets, counts });
  const sessions = new Sessions(options);
  const site: AuthParts = {
    ...options,
    layout,
    assets,
    sessions,
    throttle: new SignInThrottle(options.appName, redis),
    streams: new Streams(options.isLeaving, (reader) => sessions.hasLeft(reader)),
    counts,
    statusCollector: lazy(async () => new (await import('../health/status-collector')).StatusCollector(options)),
  };
  const guard = assetsAreOpen(authenticate(site));
  return chain([
    preferences(pageTexts(TEXTS), options.config),
    pageHeaders(),
    errorPages(site),
    guard,
    pageGroups(site),
  ]);
}

/** Lets requests for assets pass the guard: the sign-in page needs its style sheet, and assets hold no secrets. */
function assetsAreOpen(guard: OpsMiddleware): OpsMiddleware {
  return (ctx, next) => (ctx.path.startsWith('/ops/assets/') ? next() : guard(ctx, next));
}

/** Composes middleware in order. A request that none of them answers stays unanswered. */
function chain(links: readonly OpsMiddleware[]): Koa.Middleware {
  const run = async (ctx: OpsContext, index: number): Promise<void> => {
    await links[index]?.(ctx, () => run(ctx, index + 1));
  };
  return (ctx) => run(ctx as unknown as OpsContext, 0);
}

/** Pages whose modules are loaded together with the first request for one of them. */
interface PageFolder {
  /** Path prefixes. The first folder with a matching prefix serves the request. */
  readonly paths: readonly string[];
  readonly load: () => Promise<AuthGroup>;
}

/** A page group that may also use the sessions. */
type AuthGroup = (site: AuthParts & PageContext) => void | Promise<void>;

const shared: AuthGroup = (site) => {
  signInRoutes(site);
  site.router.get(COUNTS, (ctx) => streamCounts(site, ctx));
  assetRoutes(site.router, '/ops/assets', () => site.assets);
};

const FOLDERS: readonly PageFolder[] = [
  { paths: ['/ops/sign-in', '/ops/sign-out', '/ops/assets', COUNTS], load: async () => shared },
  { paths: ['/ops/jobs'], load: async () => (await import('./jobs/routes')).jobRoutes },
  { paths: ['/ops/mail'], load: async () => (await import('./mail/routes')).mailRoutes },
  { paths: ['/ops/processes'], load: async () => (await import('./processes/tree-action-pages')).treeActionRoutes },
  { paths: ['/ops/audit'], load: async () => (await import('./audit/audit-page')).auditRoutes },
  { paths: ['/ops/search', '/ops/requests'], load: async () => (await import('./search/search-page')).searchRoutes },
  { paths: ['/ops/deploys'], load: async () => (await import('./deploys/deploys-page')).deployRoutes },
  { paths: ['/ops/profiles'], load: async () => (await import('./profiles/profiles-page')).profileRoutes },
  { paths: ['/ops/tabs'], load: async () => (await import('./tabs')).tabRoutes },
  { paths: ['/ops'], load: async () => (await import('./overview/overview-page')).overviewRoutes },
];

/** Routes each request to the folder that contains its page. */
export function pageGroups(site: AuthParts): OpsMiddleware {
  const folders = FOLDERS.map(({ paths, load }) => ({
    paths,
    routes: lazy(async () => buildRoutes(await load(), site)),
  }));
  return async (ctx, next) => {
    // Lower case, since the router ignores case as well.
    const requested = `${ctx.path.toLowerCase()}/`;
    const found = folders.find(({ paths }) => paths.some((path) => requested.startsWith(`${path}/`)));
    await (await found?.routes())?.(ctx, next);
  };
}

async function buildRoutes(group: AuthGroup, site: AuthParts): Promise<OpsMiddleware> {
  const router = new Router<OpsState>();
  await group({ ...site, router });
  const links = [explainMissing, allowedMethods(router as Router), router.routes()];
  return chain(links as unknown as readonly OpsMiddleware[]);
}
