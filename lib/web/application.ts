import './context';
import type { ServerResponse } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { jsonBody } from './body';
import { ConcurrencyLimiter, limitConcurrency } from './concurrency-limiter';
import { handleErrors, handleLateErrors } from './error-handler';
import {
  type HealthOptions,
  health,
  notFound,
  proxies,
  requestContext,
  requestEvents,
  requestTarget,
  securityHeaders,
  shedStale,
  wellFormedPath,
} from './middleware';

export interface ApplicationOptions extends HealthOptions {
  readonly config: Pick<Config, 'trustProxy' | 'defaultLocale' | 'web'>;
  readonly events: Events;
  /** Adds the app's routes. */
  readonly routes: (router: Router) => void;
  /** Pass one to read its snapshots. Default: a new one with the limits of the config. */
  readonly limit?: ConcurrencyLimiter;
  /** The app's own Koa, with its own middleware. Default: a new one. */
  readonly koa?: Koa;
  /** @returns the signal that tells the response's route to end. Default: one that is never aborted. */
  readonly goodbye?: (response: ServerResponse) => AbortSignal;
  /** Middleware that answers some requests before they need a slot. */
  readonly mounts?: Koa.Middleware;
}

/** The Koa app of one web process: Catamount's own middleware around the app's routes. */
export function createApplication(options: ApplicationOptions): Koa {
  const { config, events, limit = new ConcurrencyLimiter(config.web) } = options;
  const { koa: app = new Koa(), goodbye = () => new AbortController().signal } = options;
  // Koa may trust these headers, since `proxies` removes those that do not come from a trusted proxy.
  app.proxy = true;
  const own = app.middleware.splice(0);
  Object.defineProperty(app.context, 'goodbye', {
    get(this: Koa.Context) {
      return goodbye(this.res);
    },
  });
  const router = new Router();
  options.routes(router);
  const body = jsonBody();

  app.use(proxies(config.trustProxy));
  app.use(requestContext(config.defaultLocale));
  app.use(requestEvents(events));
  app.use(handleErrors(events));
  app.use(securityHeaders());
  app.use(requestTarget);
  for (const middleware of own) app.use(middleware);
  app.use(health(options));
  app.use(wellFormedPath);
  app.use(shedStale());
  if (options.mounts) app.use(options.mounts);
  app.use(body.receive);
  app.use(limitConcurrency(limit));
  app.use(body.parse);
  app.use(notFound(router));
  app.use(router.routes());
  handleLateErrors(app, events);
  return app;
}
