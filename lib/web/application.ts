import './context';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import Router from '@koa/router';
import Koa from 'koa';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { localesOrShipped, readLocales } from '../core/locales';
import { tracing } from '../core/tracing';
import { jsonBody } from './body';
import { ConcurrencyLimiter, limitConcurrency } from './concurrency-limiter';
import { handleErrors, handleLateErrors } from './error-handler';
import { health, probePaths } from './health';
import { allowedMethods, explainMissing } from './missing';
import type { BodyParser, HealthOptions, SecurityHeaders } from './options';
import { proxies } from './proxies';
import { requestContext } from './request-context';
import { requestEvents } from './request-events';
import { traceRequests } from './request-span';
import { requestTarget, wellFormedPath } from './request-target';
import { securityHeaders } from './security-headers';

export interface ApplicationOptions extends HealthOptions {
  readonly config: Pick<Config, 'trustProxy' | 'defaultLocale' | 'web'>;
  readonly events: Events;
  readonly routes: (router: Router) => void;
  /** Give your own to read its snapshots. Default: a new one with the limits of the config. */
  readonly limiter?: ConcurrencyLimiter;
  /** The app's folder of texts, whose files determine its locales. Default: none; the locales are Catamount's own. */
  readonly localesDir?: string;
  /** The app's own Koa, whose middleware runs before routing, limits and bodies. Default: a new one. */
  readonly koa?: Koa;
  /** Middleware of an existing Koa app, which runs in a slot and before the routes. Default: none. */
  readonly existing?: readonly Koa.Middleware[];
  /** The app's own security headers. Default: ours. */
  readonly headers?: SecurityHeaders | undefined;
  /** The app's own body parser. Default: we parse JSON, and leave everything else to the routes. */
  readonly parser?: BodyParser | undefined;
  /** @returns the signal on which the response's route should end. Default: one that is never aborted. */
  readonly goodbye?: (response: ServerResponse) => AbortSignal;
  /** Called with the address of a peer whose proxy headers are removed because TRUST_PROXY does not include it. */
  readonly onUntrustedProxy?: (peer: string) => void;
  /** Middleware that answers some requests before they need a slot. */
  readonly mounts?: Koa.Middleware;
}

/** The Koa app of one web process: Catamount's own middleware around the app's routes. */
export function createApplication(options: ApplicationOptions): Koa {
  const { config, events, limiter = new ConcurrencyLimiter(config.web) } = options;
  const { koa: app = new Koa(), existing = [], goodbye = () => new AbortController().signal } = options;
  // Koa may trust these headers, since `proxies` removes those that do not come from a trusted proxy.
  app.proxy = true;
  nameDownloadsInAscii(app.response);
  const own = app.middleware.splice(0);
  Object.defineProperty(app.context, 'goodbye', {
    configurable: true,
    get(this: Koa.Context) {
      return goodbye(this.res);
    },
  });
  const router = new Router();
  options.routes(router);
  const { defaultLocale } = config;
  const texts = { defaultLocale, events, localesDir: options.localesDir };
  const locales = options.localesDir === undefined ? localesOrShipped([]) : readLocales(options.localesDir);
  const body = jsonBody({ limit: config.web.bodyLimitBytes, parser: options.parser });

  app.use(proxies(config.trustProxy, options.onUntrustedProxy));
  app.use(requestContext([defaultLocale, ...locales.filter((locale) => locale !== defaultLocale)]));
  const tracer = tracing();
  if (tracer) app.use(traceRequests(tracer, probePaths(options.probes)));
  app.use(requestEvents(events));
  app.use(handleErrors(events, texts));
  app.use(securityHeaders(options.headers));
  app.use(requestTarget);
  app.use(explainMissing);
  for (const middleware of own) app.use(middleware);
  app.use(health(options));
  app.use(wellFormedPath);
  if (options.mounts) app.use(options.mounts);
  app.use(body.receive);
  app.use(limitConcurrency(limiter));
  app.use(body.parse);
  for (const middleware of existing) app.use(middleware);
  app.use(allowedMethods(router));
  app.use(router.routes());
  handleLateErrors(app, events, texts);
  return app;
}

/**
 * Makes `ctx.attachment('café.pdf')` name the file in ASCII, and in UTF-8 for all but ancient browsers: letters of Latin-1,
 * as koa writes them, are replaced by Node 20.
 */
function nameDownloadsInAscii(response: Koa.BaseResponse): void {
  const { attachment } = response;
  response.attachment = function named(filename, options) {
    const fallback = filename && path.basename(filename).replace(/[^ -~]/g, '?');
    return attachment.call(this, filename, fallback === undefined ? options : { fallback, ...options });
  };
}
