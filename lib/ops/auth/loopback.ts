import net from 'node:net';
import type Koa from 'koa';

/**
 * Whether the Host header names this machine. A page of a stranger's whose name was made to point here (DNS rebinding)
 * has the stranger's name in it.
 */
export function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname);
}

/** Whether somebody on this machine asks, and no proxy on it, which may bring anybody under whatever Host it likes. */
export function isFromHere(ctx: Pick<Koa.Context, 'host' | 'forwarded' | 'req'>): boolean {
  return isLoopbackHost(ctx.host) && !ctx.forwarded && isLoopbackAddress(ctx.req.socket.remoteAddress);
}

/** Of a connection; undefined for a unix socket, which only this machine has. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return true;
  const plain = address.replace(/^\[|\]$/g, '').replace(/^::ffff:/i, '');
  return plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}
