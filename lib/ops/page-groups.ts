import Router from '@koa/router';
import { lazily } from '../support/lazily';
import { unrouted } from '../web/unrouted';
import { signInRoutes } from './access/sign-in';
import type { OpsMiddleware, OpsState } from './context';
import { assetRoutes } from './page/assets';
import type { PageGroup, SiteParts } from './site';

/** Pages that are loaded together, when the first of them is asked for. */
interface PageFolder {
  /** Its paths are these, and what is below them. The first folder that fits has them. */
  readonly paths: readonly string[];
  readonly load: () => Promise<PageGroup>;
}

const door: PageGroup = (site) => {
  signInRoutes(site);
  assetRoutes(site.router, site.assets);
};

const FOLDERS: readonly PageFolder[] = [
  { paths: ['/ops/sign-in', '/ops/sign-out', '/ops/assets'], load: async () => door },
  { paths: ['/ops/jobs'], load: async () => (await import('./jobs/routes')).jobRoutes },
  { paths: ['/ops/mail'], load: async () => (await import('./mail/routes')).mailRoutes },
  { paths: ['/ops/processes'], load: async () => (await import('./processes/routes')).processRoutes },
  { paths: ['/ops'], load: async () => (await import('./overview/routes')).overviewRoutes },
];

/** All pages, each answered by the folder that it is in. */
export function pageGroups(site: SiteParts): OpsMiddleware {
  const folders = FOLDERS.map(({ paths, load }) => ({
    paths,
    routes: lazily(async () => routesOf(await load(), site)),
  }));
  return async (ctx, next) => {
    // Routes do not look at the case either.
    const asked = `${ctx.path.toLowerCase()}/`;
    const found = folders.find(({ paths }) => paths.some((path) => asked.startsWith(`${path}/`)));
    await (await found?.routes())?.(ctx, next);
  };
}

async function routesOf(group: PageGroup, site: SiteParts): Promise<OpsMiddleware> {
  const router = new Router<OpsState>();
  await group({ ...site, router });
  const [outer, inner] = [unrouted(router as Router), router.routes()] as unknown as [OpsMiddleware, OpsMiddleware];
  return (ctx, next) => outer(ctx, async () => inner(ctx, next));
}
