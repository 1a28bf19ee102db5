import type { OpsMiddleware } from '../context';

/** Only what this server itself serves, nothing inline, and in nobody's frame. */
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
      // Not `no-referrer`: browsers would then send forms without saying where they come from.
      'Referrer-Policy': 'same-origin',
    });
    return next();
  };
}
