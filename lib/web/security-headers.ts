import type Koa from 'koa';
import helmet from 'koa-helmet';

/** Pages may use what this server itself serves, and nothing inline. */
export function securityHeaders(): Koa.Middleware {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'base-uri': ["'none'"],
        'connect-src': ["'self'"],
        'font-src': ["'self'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'none'"],
        'img-src': ["'self'"],
        'manifest-src': ["'self'"],
        'script-src': ["'self'"],
        'style-src': ["'self'"],
      },
    },
    xFrameOptions: { action: 'deny' },
    // Browsers heed it over https only. Not for subdomains: those may be somebody else's.
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
  });
}
