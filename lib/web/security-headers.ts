import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type Koa from 'koa';
import helmet from 'koa-helmet';
import type { SecurityHeaders } from './options';

/**
 * Sets security headers by which pages may use only what this server itself serves, and nothing inline.
 * @param given the app's own headers, for all paths except the operators'.
 */
export function securityHeaders(given?: SecurityHeaders): Koa.Middleware {
  // The headers are the same for every response, so helmet runs only once. This saves each request a dozen calls.
  const standard = recordHeaders(helmet(OPTIONS));
  // Helmet's options are a union of 256 types; type-checking a spread of two of these would dominate the build time.
  const own = given === false ? [] : given && recordHeaders(helmet({ ...(OPTIONS as object), ...given }));
  return (ctx, next) => {
    const headers = own && !/^\/ops(\.json|\/|$)/.test(ctx.path) ? own : standard;
    for (const [name, value] of headers) ctx.res.setHeader(name, value);
    return next();
  };
}

type Header = readonly [name: string, value: number | string | readonly string[]];

const OPTIONS: NonNullable<Parameters<typeof helmet>[0]> = {
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
  // Browsers obey this header over https only. Subdomains are left out, since they may belong to somebody else.
  strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
};

function recordHeaders(middleware: Koa.Middleware): readonly Header[] {
  const headers: Header[] = [];
  const req = new IncomingMessage(new Socket());
  const res = new ServerResponse(req);
  res.setHeader = (name, value) => {
    headers.push([name, value]);
    return res;
  };
  void middleware({ req, res } as Koa.ParameterizedContext, async () => undefined);
  return headers;
}
