import { AsyncLocalStorage } from 'node:async_hooks';
import cluster from 'node:cluster';
import { randomUUID } from 'node:crypto';
import http, { type RequestListener } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import helmet from 'koa-helmet';
import pino from 'pino';
import throng from 'throng';
import { product } from './harness/product';

// `node web-peer.js <supervisor> <application>`: a server on PORT under another supervisor than the product's.
// pm2 puts its own arguments before these two.
const [supervisor, application] = process.argv.slice(-2);
const WORKERS = 2;
/** The answer of every server, the same as the product's to `/health`. */
const ANSWER = { status: 'ok', app: 'bench' };
/** Logs are JSON and written synchronously, as the product's, but not to stdout, which pm2 reads at a cost. */
const LOG = '/dev/null';
/** The product's default settings. */
const WEB = {
  enabled: true,
  concurrency: 2,
  sizing: null,
  maxThreads: 5,
  backlog: 512,
  queueTimeoutMs: 10_000,
  requestTimeoutMs: 29_000,
  headerTimeoutMs: 15_000,
  bodyLimitBytes: 100_000,
  writeTimeoutMs: 10_000,
  workerTimeoutMs: 60_000,
  bootTimeoutMs: 30_000,
};

type Middlewares = typeof import('../../lib/web/application');
type Events = typeof import('../../lib/core/events');
type Subscriber = typeof import('../../lib/core/event-catalog');
type Loggers = typeof import('../../lib/core/logging');

/** The product's middleware and log lines around the app's routes. */
function ours(): Koa {
  const events = new (product<Events>('lib/core/events').Events)();
  const log = { level: 'info', format: 'json', file: null } as const;
  const logger = product<Loggers>('lib/core/logging').createLogger(
    { log },
    'web',
    pino.destination({ dest: LOG, sync: true }),
  );
  product<Subscriber>('lib/core/event-catalog').logEvents(events, logger);
  return product<Middlewares>('lib/web/application').createApplication({
    config: { trustProxy: { hops: 0 }, defaultLocale: 'en', web: WEB },
    events,
    appName: 'bench',
    readiness: [],
    isLeaving: () => false,
    routes: (router) => router.get('/answer', answer),
  });
}

/** The same without the limit of concurrent requests. */
function unlimited(): Koa {
  const app = ours();
  const { middleware } = app;
  const index = middleware.findIndex(({ name }) => name === 'limitRequests');
  if (index < 0) throw new Error('limitRequests is not among the middleware');
  middleware.splice(index, 1);
  return app;
}

/** The same features by hand with existing packages: request id, context, log lines, errors as JSON, helmet. */
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

/** Bare node:http without any package. */
function raw(): RequestListener {
  const body = JSON.stringify(ANSWER);
  const headers = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(body) };
  return (_request, response) => response.writeHead(200, headers).end(body);
}

function answer(ctx: Pick<Koa.Context, 'body'>): void {
  ctx.body = ANSWER;
}

const APPLICATIONS: Readonly<Record<string, () => RequestListener>> = {
  ours: () => ours().callback(),
  unlimited: () => unlimited().callback(),
  'by-hand': () => byHand().callback(),
  raw,
};

function serve(): void {
  http.createServer(APPLICATIONS[application ?? '']?.()).listen(Number(process.env.PORT), '127.0.0.1');
}

const START: Readonly<Record<string, () => void>> = {
  single: serve,
  // pm2 forks this file itself.
  pm2: serve,
  cluster: () => {
    if (!cluster.isPrimary) return serve();
    for (let n = 0; n < WORKERS; n++) cluster.fork();
    process.once('SIGTERM', () => {
      for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
      cluster.disconnect(() => process.exit());
    });
  },
  throng: () => void throng({ count: WORKERS, worker: serve }),
};

START[supervisor ?? '']?.();
