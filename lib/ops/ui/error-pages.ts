import { codeOf } from '../../core/errors';
import { causeOf, refusalOf } from '../../core/failure-cause';
import { isRedisOutage, REDIS_OFF } from '../../core/redis';
import { toError } from '../../support/to-error';
import { ProblemError } from '../../web/context';
import { isOutage } from '../../web/error-handler';
import { hasEnded } from '../../web/request-end';
import type { OpsContext, OpsMiddleware, PageContext } from './page-types';

interface Trouble {
  readonly status: number;
  /** Key of the texts `errors.<reason>`. */
  readonly reason: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** Code to search for in the log. */
  readonly code: string;
}

/** Answers errors with a page, or with a problem document when the request asks for JSON. */
export function errorPages(site: Pick<PageContext, 'events' | 'layout'>): OpsMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const trouble = describeTrouble(thrown);
      const { method, path, requestId } = ctx;
      if (!(thrown instanceof ProblemError) && trouble.reason !== 'redisOff')
        site.events.emit('request.error', { error: toError(thrown), method, path, requestId });
      await answer(site, ctx, trouble);
    }
  };
}

async function answer({ layout }: Pick<PageContext, 'layout'>, ctx: OpsContext, trouble: Trouble): Promise<void> {
  const { status, reason, values, headers, code } = trouble;
  const { t, json } = ctx.state;
  const title = t(`errors.${reason}.title`);
  const what = t(`errors.${reason}.what`, values);
  if (json) throw new ProblemError(status, { title, detail: what, headers, extensions: { reason } });
  ctx.status = status;
  ctx.set({ ...headers });
  const read = ctx.method === 'GET' || ctx.method === 'HEAD';
  await layout.show(ctx, 'error', {
    title,
    what,
    // An action that failed half-way may have been done in part.
    after: status >= 500 && !read ? t('errors.maybe') : t('errors.unchanged'),
    code,
    requestId: ctx.requestId,
    again: read && status >= 500 ? ctx.originalUrl : null,
  });
}

function describeTrouble(thrown: unknown): Trouble {
  if (thrown instanceof ProblemError) {
    const { reason, ...values } = thrown.options.extensions ?? {};
    const { status } = thrown;
    const key = typeof reason === 'string' ? reason : reasonFor(status);
    return { status, reason: key, values, headers: thrown.options.headers ?? {}, code: String(status) };
  }
  const error = toError(thrown);
  const code = codeIn(error);
  if (code === REDIS_OFF) return { status: 404, reason: 'redisOff', values: {}, headers: {}, code };
  // By its code alone, a refused connection may be one to either store.
  const away = isRedisOutage(error) ? 'Redis' : isOutage(error) && 'Postgres';
  const reason = refusalOf(causeOf(error)) ? 'refused' : 'away';
  if (away)
    return {
      status: 503,
      reason,
      values: { who: away },
      headers: RETRY,
      code: code === 'Error' ? codeOf(error) : code,
    };
  if (UNMIGRATED.test(code)) return { status: 503, reason: 'unmigrated', values: {}, headers: {}, code };
  return { status: 500, reason: 'fault', values: {}, headers: {}, code };
}

const RETRY = { 'Retry-After': '2' };

/** Postgres knows no such schema, column or table. */
const UNMIGRATED = /^(3F000|42703|42P01)$/;

function reasonFor(status: number): string {
  const keys: Readonly<Record<number, string>> = { 404: 'missing', 405: 'method', 413: 'tooLarge', 503: 'busy' };
  return keys[status] ?? (status >= 500 ? 'fault' : 'wrong');
}

function codeIn(error: Error): string {
  const named = error.name === 'Error' ? error.constructor.name : error.name;
  return 'code' in error && error.code ? String(error.code) : named;
}
