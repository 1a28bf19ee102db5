import type { Config } from '../../core/config';
import type { OpsContext } from '../context';

/** Adds a cookie of the pages': out of reach for scripts and for other sites, and over TLS only where there is TLS. */
export function setCookie(ctx: OpsContext, config: Pick<Config, 'appUrl'>, pair: string): void {
  const secure = ctx.secure || (config.appUrl.startsWith('https:') && new URL(config.appUrl).host === ctx.host);
  ctx.append('Set-Cookie', `${pair}; Path=/ops; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`);
}
