import { createHmac } from 'node:crypto';
import { type Config, LOCALES, type ShippedLocale } from '../../core/config';
import type { I18n, Translate } from '../../core/i18n';
import { ProblemError } from '../../web/context';
import type { OpsContext, OpsMiddleware, Visitor } from './page-types';
import { THEMES } from './theme';

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
  const requested = offered.find((each) => each === ctx.query[name]);
  const cookie = `catamount_ops_${name}`;
  if (requested === undefined) {
    const kept = readCookie(ctx.get('Cookie'), cookie);
    return offered.find((each) => each === kept);
  }
  ctx.append('Set-Cookie', `${cookie}=${requested}; Path=/ops; Max-Age=${YEAR_SECONDS}; HttpOnly; SameSite=Lax`);
  return requested;
}

/** Sets a cookie for /ops that scripts and other sites cannot use; `Secure` where the app is served over TLS. */
export function setCookie(ctx: OpsContext, config: Pick<Config, 'appUrl'>, pair: string, path = '/ops'): void {
  const secure = ctx.secure || (config.appUrl.startsWith('https:') && new URL(config.appUrl).host === ctx.host);
  ctx.append('Set-Cookie', `${pair}; Path=${path}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`);
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

/** Redis, which has what was asked for, does not answer. */
export function redisAway(): ProblemError {
  return localizedProblem(503, 'away', { values: { who: 'Redis' }, headers: { 'Retry-After': '2' } });
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

/** Parts of the query that belong to one view of a page, so that links from it leave them out. */
export const PASSING = { flash: null, select: null, locale: null, theme: null } as const;

/** A path with a query whose values are replaced by or extended with `changes`; null or '' removes one. */
export function linkWith(path: string, query: string, changes: Readonly<Record<string, string | null>>): string {
  const values = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') values.delete(name);
    else values.set(name, value);
  }
  return values.size === 0 ? path : `${path}?${values}`;
}
