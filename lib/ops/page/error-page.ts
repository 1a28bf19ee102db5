import { toError } from '../../core/errors';
import { ProblemError } from '../../web/problem';
import { hasEnded } from '../../web/request-end';
import type { OpsContext, OpsMiddleware } from '../context';
import type { Site } from '../site';

interface Trouble {
  readonly status: number;
  /** Of the texts. */
  readonly reason: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** For those who look for it in the log. */
  readonly code: string;
}

/** Tells what went wrong as a page, or as a problem document where JSON was asked for. */
export function errorPages(site: Pick<Site, 'events' | 'pages'>): OpsMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const trouble = troubleOf(thrown);
      const { method, path, requestId } = ctx;
      if (!(thrown instanceof ProblemError))
        site.events.emit('request.error', { error: toError(thrown), method, path, requestId });
      await answer(site, ctx, trouble);
    }
  };
}

async function answer({ pages }: Pick<Site, 'pages'>, ctx: OpsContext, trouble: Trouble): Promise<void> {
  const { status, reason, values, headers, code } = trouble;
  const { t, json } = ctx.state;
  const title = t(`errors.${reason}.title`);
  const what = t(`errors.${reason}.what`, values);
  if (json) throw new ProblemError(status, { title, detail: what, headers, extensions: { reason } });
  ctx.status = status;
  ctx.set({ ...headers });
  const read = ctx.method === 'GET' || ctx.method === 'HEAD';
  await pages.show(ctx, 'error', {
    title,
    what,
    // What was asked for may have been done in part when something broke half-way.
    after: status >= 500 && !read ? t('errors.maybe') : t('errors.unchanged'),
    code,
    requestId: ctx.requestId,
    again: read && status >= 500 ? ctx.originalUrl : null,
  });
}

function troubleOf(thrown: unknown): Trouble {
  if (thrown instanceof ProblemError) {
    const { reason, ...values } = thrown.options.extensions ?? {};
    const { status } = thrown;
    const known = typeof reason === 'string' ? reason : reasonOf(status);
    return { status, reason: known, values, headers: thrown.options.headers ?? {}, code: String(status) };
  }
  const error = toError(thrown);
  const named = error.name === 'Error' ? error.constructor.name : error.name;
  const code = 'code' in error && error.code ? String(error.code) : named;
  const away = whoIsAway(error, code);
  const retry = { 'Retry-After': '2' };
  if (away) return { status: 503, reason: 'away', values: { who: away }, headers: retry, code };
  return { status: 500, reason: 'fault', values: {}, headers: {}, code };
}

function reasonOf(status: number): string {
  const known: Readonly<Record<number, string>> = { 404: 'missing', 405: 'method', 413: 'tooLarge', 503: 'busy' };
  return known[status] ?? (status >= 500 ? 'fault' : 'wrong');
}

/** Which of the servers behind this one did not answer. */
function whoIsAway(error: Error, code: string): 'Redis' | 'Postgres' | undefined {
  if (/^(Client(Offline|Closed)|SocketClosed|SocketTimeout|ConnectionTimeout|CommandTimeout|Timeout)/.test(error.name))
    return error.name.startsWith('TimeoutError') && error.message.includes('query') ? 'Postgres' : 'Redis';
  if (/^(Client(Offline|Closed)|SocketClosed|ConnectionTimeout|CommandTimeout|Timeout)/.test(error.constructor.name))
    return 'Redis';
  if (error.name === 'KnexTimeoutError' || error.message.startsWith('Connection terminated')) return 'Postgres';
  return /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|08\w{3}|53300|57P0[123])$/.test(
    code,
  )
    ? 'Postgres'
    : undefined;
}
