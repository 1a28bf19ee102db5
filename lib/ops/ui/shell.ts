import { createHmac } from 'node:crypto';
import { type Config, LOCALES, type ShippedLocale } from '../../core/config';
import type { EventMap } from '../../core/events';
import type { I18n, Translate } from '../../core/i18n';
import { recentEvent } from '../../core/notable-events';
import { isOfConnection, REDIS_OFF } from '../../core/redis';
import { RedisTimeoutError } from '../../core/redis-script';
import { toError } from '../../support/async';
import { ProblemError } from '../../web/context';
import { isOutage } from '../../web/error-handler';
import { hasEnded } from '../../web/server';
import type { PageContext, Visitor } from './context';
import { type OpsContext, type OpsMiddleware, THEMES } from './context';

/** Allows content from this server only, nothing inline, and no framing by other sites. */
const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self' data:",
  "frame-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "connect-src 'self'",
].join('; ');

export function pageHeaders(): OpsMiddleware {
  return (ctx, next) => {
    ctx.set({
      'Content-Security-Policy': POLICY,
      'Cache-Control': 'no-store',
      'X-Robots-Tag': 'noindex, nofollow',
      // Not `no-referrer`: browsers would then send forms with `Origin: null`.
      'Referrer-Policy': 'same-origin',
    });
    return next();
  };
}

const YEAR_SECONDS = 31_536_000;

/** Language and theme by `?locale=` and `?theme=`, which cookies keep; else by the browser's preference. */
export function preferences(i18n: I18n, { defaultLocale }: Pick<Config, 'defaultLocale'>): OpsMiddleware {
  const usual = LOCALES.find((locale) => defaultLocale.split('-')[0] === locale) ?? 'en';
  const offered = [usual, ...LOCALES.filter((locale) => locale !== usual)];
  const preferred = (ctx: OpsContext) => offered.find((locale) => locale === ctx.acceptsLanguages(offered)) ?? usual;
  const translations = new Map<ShippedLocale, Translate>(LOCALES.map((locale) => [locale, i18n.in(locale)]));
  return (ctx, next) => {
    const { state } = ctx;
    state.locale = chosen(ctx, 'locale', LOCALES) ?? preferred(ctx);
    state.theme = chosen(ctx, 'theme', THEMES) ?? 'auto';
    state.t = translations.get(state.locale) ?? i18n.in(state.locale);
    const suffix = /\.json$/.test(ctx.path) && !ctx.path.startsWith('/ops/assets/');
    if (suffix) ctx.path = ctx.path.slice(0, -'.json'.length);
    state.json = suffix || ctx.accepts('html', 'json') === 'json';
    return next();
  };
}

function chosen<T extends string>(ctx: OpsContext, name: string, offered: readonly T[]): T | undefined {
  const asked = offered.find((each) => each === ctx.query[name]);
  const cookie = `catamount_ops_${name}`;
  if (asked === undefined) {
    const kept = readCookie(ctx.get('Cookie'), cookie);
    return offered.find((each) => each === kept);
  }
  ctx.append('Set-Cookie', `${cookie}=${asked}; Path=/ops; Max-Age=${YEAR_SECONDS}; HttpOnly; SameSite=Lax`);
  return asked;
}

/** Sets a cookie for /ops that scripts and other sites cannot use; `Secure` where the app is served over TLS. */
export function setCookie(ctx: OpsContext, config: Pick<Config, 'appUrl'>, pair: string, path = '/ops'): void {
  const secure = ctx.secure || (config.appUrl.startsWith('https:') && new URL(config.appUrl).host === ctx.host);
  ctx.append('Set-Cookie', `${pair}; Path=${path}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`);
}

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
export function errorPages(site: Pick<PageContext, 'events' | 'pages'>): OpsMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      if (hasEnded(ctx.res)) return;
      const trouble = troubleOf(thrown);
      const { method, path, requestId } = ctx;
      if (!(thrown instanceof ProblemError) && trouble.reason !== 'redisOff')
        site.events.emit('request.error', { error: toError(thrown), method, path, requestId });
      await answer(site, ctx, trouble);
    }
  };
}

async function answer({ pages }: Pick<PageContext, 'pages'>, ctx: OpsContext, trouble: Trouble): Promise<void> {
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
    // An action that failed half-way may have been done in part.
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
  const code = codeIn(toError(thrown));
  if (code === REDIS_OFF) return { status: 404, reason: 'redisOff', values: {}, headers: {}, code };
  const away = unavailableStore(thrown);
  const retry = { 'Retry-After': '2' };
  if (away) return { status: 503, reason: 'away', values: { who: away }, headers: retry, code };
  if (UNMIGRATED.test(code)) return { status: 503, reason: 'unmigrated', values: {}, headers: {}, code };
  return { status: 500, reason: 'fault', values: {}, headers: {}, code };
}

/** Postgres knows no such schema, column or table. */
const UNMIGRATED = /^(3F000|42703|42P01)$/;

function reasonOf(status: number): string {
  const known: Readonly<Record<number, string>> = { 404: 'missing', 405: 'method', 413: 'tooLarge', 503: 'busy' };
  return known[status] ?? (status >= 500 ? 'fault' : 'wrong');
}

function codeIn(error: Error): string {
  const named = error.name === 'Error' ? error.constructor.name : error.name;
  return 'code' in error && error.code ? String(error.code) : named;
}

const REDIS_AWAY = /^(NoConnection|SocketTimeout|ConnectionTimeout|CommandTimeout|Timeout)/;

/** The store whose outage caused the error; undefined for other errors. */
function unavailableStore(thrown: unknown): 'Redis' | 'Postgres' | undefined {
  if (thrown instanceof ProblemError) return undefined;
  const error = toError(thrown);
  const { name } = error.constructor;
  // By its code alone, a refused connection may be one to either store.
  if (
    isOfConnection(error) ||
    error instanceof RedisTimeoutError ||
    REDIS_AWAY.test(error.name) ||
    REDIS_AWAY.test(name)
  )
    return 'Redis';
  return isOutage(error) ? 'Postgres' : undefined;
}

type AskedAction = Pick<EventMap['operator.failed'], 'command' | 'of'> & { readonly count?: number };

/**
 * Middleware of a form's route. When an action fails because Redis or Postgres is down, the tree records it with its
 * origin among its events, over IPC, since the operators' actions are otherwise recorded in Redis.
 * @param actionOf reads the action from the form; undefined when the form only leads to a question.
 */
export function reportFailedAction(
  { events, tree }: Pick<PageContext, 'events' | 'tree'>,
  actionOf: (ctx: OpsContext) => AskedAction | undefined,
): OpsMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const away = unavailableStore(thrown);
      const action = away && actionOf(ctx);
      if (away && action) {
        const service = away === 'Redis' ? 'redis' : 'postgres';
        const failed = { count: 0, ...action, service, via: `pages:${ctx.ip}` } as const;
        events.emit('operator.failed', failed);
        // The record is best effort: an unresponsive primary is detected and reported elsewhere.
        await tree.recordEvent(recentEvent('operator.failed', failed)).catch(() => undefined);
      }
      throw thrown;
    }
  };
}

/**
 * A problem that the pages show in the reader's language.
 * @param reason key of the texts `errors.<reason>.title` and `.what`.
 */
export function localizedProblem(
  status: number,
  reason: string,
  options: {
    readonly values?: Readonly<Record<string, unknown>>;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): ProblemError {
  const { values = {}, headers = {} } = options;
  return new ProblemError(status, { headers, extensions: { ...values, reason } });
}

export function readCookie(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/** The CSRF token of a visitor's forms. It is derived from their browser's secret, so nobody else can know it. */
export function formToken({ secret, role }: Visitor): string {
  return createHmac('sha256', secret).update(`form of ${role}`).digest('base64url');
}

/** A path with a query whose values are replaced by or extended with `changes`; null or '' removes one. */
export function linkWith(path: string, query: string, changes: Readonly<Record<string, string | null>>): string {
  const values = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') values.delete(name);
    else values.set(name, value);
  }
  return values.size === 0 ? path : `${path}?${values}`;
}
