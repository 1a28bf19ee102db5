import type Koa from 'koa';
import { lazily } from '../support/lazily';
import { RequestLimit } from '../web/limit';
import { limited } from '../web/limited';
import { isFromHere } from './access/loopback';
import { accessMode } from './access/mode';
import { METRICS_PATH, metricsEndpoint } from './metrics/endpoint';
import type { OpsOptions } from './options';

const INBOX_PATH = '/ops/mail/inbox';
/**
 * A limit of their own: the pages take no slot from the app, and answer when all of the app's are taken, which is when
 * they are asked for.
 */
const LIMIT = { maxThreads: 3, backlog: 32, queueTimeoutMs: 10_000 };

/** Serves /ops. What the pages are made of is loaded when the first of them is asked for. */
export function opsPages(options: OpsOptions): Koa.Middleware {
  const metrics = metricsEndpoint(options);
  const { config } = options;
  const mode = accessMode(config);
  if (mode === 'absent') return metrics;
  const limit = limited(new RequestLimit(LIMIT));
  const load = lazily(async () => (await import('./site')).createSite(options));
  const links = { tree: '/ops', inbox: config.mail.delivery === 'file' ? INBOX_PATH : null };
  return (ctx, next) => {
    if (!/^\/ops(\.json|\/|$)/.test(ctx.path)) {
      if (mode === 'signed' || isFromHere(ctx)) ctx.ops = links;
      return next();
    }
    if (ctx.path === METRICS_PATH) return metrics(ctx, next);
    ctx.beside = true;
    return limit(ctx, async () => (await load())(ctx, next));
  };
}
