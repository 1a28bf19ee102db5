import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import helmet from 'koa-helmet';
import pino from 'pino';
import { product } from '../frame/product';
import { ANSWER, answer } from './answer';

/** As ours: JSON, written at once. To a file of its own, since pm2 takes standard output for itself, at a price. */
const LOG = '/dev/null';
/** The defaults. */
const WEB = {
  enabled: true,
  concurrency: 2,
  sizing: null,
  maxThreads: 5,
  backlog: 512,
  queueTimeoutMs: 10_000,
  workerTimeoutMs: 60_000,
  bootTimeoutMs: 30_000,
};

type Middlewares = typeof import('../../../lib/web/application');
type Events = typeof import('../../../lib/core/events');
type Subscriber = typeof import('../../../lib/core/log-subscriber');
type Loggers = typeof import('../../../lib/core/logger');

/** What the product has around the app's routes, with its log lines. */
function ours(): Koa {
  const events = new (product<Events>('lib/core/events').Events)();
  const log = { level: 'info', format: 'json', file: null } as const;
  const logger = product<Loggers>('lib/core/logger').createLogger(
    { log },
    'web',
    pino.destination({ dest: LOG, sync: true }),
  );
  product<Subscriber>('lib/core/log-subscriber').logEvents(events, logger);
  return product<Middlewares>('lib/web/application').createApplication({
    config: { onHeroku: false, defaultLocale: 'en', web: WEB },
    events,
    appName: 'bench',
    readiness: [],
    isLeaving: () => false,
    routes: (router) => router.get('/answer', answer),
  });
}

/** The same without the limit. */
function unlimited(): Koa {
  const app = ours();
  const { middleware } = app;
  const index = middleware.findIndex(({ name }) => name === 'limitRequests');
  if (index < 0) throw new Error('the limit is not where it is looked for');
  middleware.splice(index, 1);
  return app;
}

/** What one would write for the same with what there is: an id and a context, log lines, errors as JSON, helmet. */
function byHand(): Koa {
  const context = new AsyncLocalStorage<{ readonly requestId: string }>();
  const logger = pino({ mixin: () => ({ ...context.getStore() }) }, pino.destination({ dest: LOG, sync: true }));
  const app = new Koa();
  const router = new Router();
  router.get('/health', answer);
  router.get('/answer', answer);
  app.use((ctx, next) => {
    const requestId = ctx.get('X-Request-Id') || randomUUID();
    ctx.set('X-Request-Id', requestId);
    return context.run({ requestId }, next);
  });
  app.use(async (ctx, next) => {
    const begun = performance.now();
    ctx.res.once('close', () => {
      const { method, path, status, ip } = ctx;
      const durationMs = Math.round(performance.now() - begun);
      logger.info({ method, path, status, durationMs, remoteAddress: ip }, `${method} ${path} ${status}`);
    });
    await next();
  });
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      logger.error(error);
      ctx.status = 500;
      ctx.body = { status: 500 };
    }
  });
  app.use(helmet());
  app.use(router.routes());
  return app;
}

/** Node alone. */
function raw(): RequestListener {
  const body = JSON.stringify(ANSWER);
  const headers = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) };
  return (_request, response) => response.writeHead(200, headers).end(body);
}

export const APPLICATIONS = {
  ours: () => ours().callback(),
  unlimited: () => unlimited().callback(),
  'by-hand': () => byHand().callback(),
  raw,
} as const;

export type ApplicationName = keyof typeof APPLICATIONS;
