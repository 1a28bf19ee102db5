import type { I18n } from '../../core/i18n';
import { isLocale } from '../../core/locale';
import { readCookie } from '../access/session';
import { type OpsContext, type OpsMiddleware, THEMES, type Theme } from '../context';

const YEAR_SECONDS = 31_536_000;

/** Language and colours by `?locale=` and `?theme=`, which are remembered; else as the browser likes them. */
export function preferences(i18n: I18n): OpsMiddleware {
  return (ctx, next) => {
    const { state } = ctx;
    state.locale = chosen(ctx, 'locale', isLocale) ?? ctx.locale;
    state.theme = chosen(ctx, 'theme', isTheme) ?? 'auto';
    state.t = i18n.in(state.locale);
    const suffix = /\.json$/.test(ctx.path) && !ctx.path.startsWith('/ops/assets/');
    if (suffix) ctx.path = ctx.path.slice(0, -'.json'.length);
    state.json = suffix || ctx.accepts('html', 'json') === 'json';
    return next();
  };
}

function chosen<T extends string>(ctx: OpsContext, name: string, fits: (value: unknown) => value is T): T | undefined {
  const asked = ctx.query[name];
  const cookie = `catamount_ops_${name}`;
  if (!fits(asked)) {
    const kept = readCookie(ctx.get('Cookie'), cookie);
    return fits(kept) ? kept : undefined;
  }
  ctx.append('Set-Cookie', `${cookie}=${asked}; Path=/ops; Max-Age=${YEAR_SECONDS}; HttpOnly; SameSite=Lax`);
  return asked;
}

function isTheme(value: unknown): value is Theme {
  return THEMES.some((theme) => theme === value);
}
