import http from 'node:http';
import pino from 'pino';
import { product } from './harness/product';

type Middlewares = typeof import('../../lib/web/application');
type Events = typeof import('../../lib/core/events');
type Subscriber = typeof import('../../lib/core/event-catalog');
type Loggers = typeof import('../../lib/core/logging');

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

const events = new (product<Events>('lib/core/events').Events)();
const log = { level: 'info', format: 'json' } as const;
const destination = pino.destination({ dest: '/dev/null', sync: true });
const logger = product<Loggers>('lib/core/logging').createLogger({ log }, 'web', destination);
product<Subscriber>('lib/core/event-catalog').logEvents(events, logger);
const app = product<Middlewares>('lib/web/application').createApplication({
  config: { trustProxy: { hops: 0 }, defaultLocale: 'en', web: WEB },
  events,
  appName: 'bench',
  readiness: [],
  isLeaving: () => false,
  routes: (router) =>
    router.get('/answer', (ctx) => {
      ctx.body = { status: 'ok', app: 'bench' };
    }),
});

// `node limit-server.js limited|unlimited`: the product's middleware and log lines, with and without the limit.
if (process.argv[2] === 'unlimited') {
  const index = app.middleware.findIndex(({ name }) => name === 'limitRequests');
  if (index < 0) throw new Error('limitRequests is not among the middleware');
  app.middleware.splice(index, 1);
}
http.createServer(app.callback()).listen(Number(process.env.PORT), '127.0.0.1');
