import type { IncomingMessage } from 'node:http';
import type Koa from 'koa';
import { ProblemError } from './problem';

/** RFC 3986: a name, an IPv4 address, or an IP literal in brackets; and a port. */
const AUTHORITY = /^(?:\[[\da-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::\d{0,5})?$/i;
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/**
 * Enforces the rules of RFC 9112 on the Host header and on transfer codings that Node's parser leaves to us. Two
 * servers that interpret one of these differently can be tricked by request smuggling.
 */
export const requestTarget: Koa.Middleware = (ctx, next) => {
  const { req } = ctx;
  const coding = req.headers['transfer-encoding'];
  // 400 and not 501: outsiders should not be able to cause server errors.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    throw refused('The only transfer coding is chunked.');
  const host = hostOf(req);
  if (host !== undefined && !AUTHORITY.test(host)) throw refused('The Host header is not one host.');
  const absolute = ABSOLUTE.exec(req.url ?? '');
  if (absolute) {
    const authority = absolute[1] ?? '';
    if (!AUTHORITY.test(authority)) throw refused('The authority of the target is not well-formed.');
    req.headers.host = authority;
  }
  return next();
};

/** The value of Host; all values joined when there are several, undefined if there is none, which HTTP/1.0 allows. */
function hostOf(req: IncomingMessage): string | undefined {
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

function refused(detail: string): ProblemError {
  return new ProblemError(400, { detail, headers: { Connection: 'close' } });
}
