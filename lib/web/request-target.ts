import type { IncomingMessage } from 'node:http';
import type Koa from 'koa';
import { ProblemError } from './context';

/** Rejects broken percent-encoding, which would otherwise reach the routes undecoded. */
export const wellFormedPath: Koa.Middleware = (ctx, next) => {
  if (!ctx.path.includes('%')) return next();
  try {
    decodeURIComponent(ctx.path);
  } catch {
    throw new ProblemError(400, { detail: 'The path is not well-formed: its percent-encoding is broken.' });
  }
  return next();
};

/** RFC 3986: a name, an IPv4 address, or an IP literal in brackets; and a port. */
const AUTHORITY = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::\d{0,5})?$/i;
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/**
 * Enforces those rules of RFC 9112 on the Host header and on transfer codings that Node's parser does not. Two servers
 * that interpret one of these differently can be attacked by request smuggling.
 */
export const requestTarget: Koa.Middleware = (ctx, next) => {
  const { req } = ctx;
  const coding = req.headers['transfer-encoding'];
  // 400 rather than 501: clients should not be able to cause server errors.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    throw malformed('The only supported transfer coding is chunked.');
  const host = readHost(req);
  if (host !== undefined && !AUTHORITY.test(host)) throw malformed('The Host header is not a single host.');
  const absolute = ABSOLUTE.exec(req.url ?? '');
  if (absolute) {
    const authority = absolute[1] ?? '';
    if (!AUTHORITY.test(authority)) throw malformed('The authority of the target is not well-formed.');
    req.headers.host = authority;
  }
  return next();
};

/** @returns the value of Host; all values joined if there are several; undefined if there is none, as in HTTP/1.0. */
function readHost(req: IncomingMessage): string | undefined {
  const { rawHeaders } = req;
  let host: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length !== 4 || name.toLowerCase() !== 'host') continue;
    const value = rawHeaders[index + 1] ?? '';
    host = host === undefined ? value : `${host} ${value}`;
  }
  return host;
}

function malformed(detail: string): ProblemError {
  return new ProblemError(400, { detail, headers: { Connection: 'close' } });
}
