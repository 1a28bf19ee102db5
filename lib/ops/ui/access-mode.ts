import net from 'node:net';
import type Koa from 'koa';
import type { Config } from '../../core/config';

/**
 * `absent`: nothing is served below /ops. `token`: pages are for requests from this machine with the token that the log
 * prints at the start. `signed`: pages are for operators who signed in.
 */
type AccessMode = 'absent' | 'token' | 'signed';

export function accessMode({ ops, environment }: Pick<Config, 'ops' | 'environment'>): AccessMode {
  if (ops !== null) return 'signed';
  return environment === 'production' ? 'absent' : 'token';
}

/**
 * True if the Host header names this machine. It is checked against DNS rebinding: a foreign page whose name resolves
 * to this machine sends that name as the host.
 */
export function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname);
}

/** True for a direct request from this machine: a proxy here may forward requests of anybody, under any Host. */
export function isFromHere(ctx: Pick<Koa.Context, 'host' | 'forwarded' | 'req'>): boolean {
  return isLoopbackHost(ctx.host) && !ctx.forwarded && isLoopbackAddress(ctx.req.socket.remoteAddress);
}

/** @param address of a connection; undefined for a Unix socket, which only this machine can reach. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return true;
  const plain = address.replace(/^\[|\]$/g, '').replace(/^::ffff:/i, '');
  return plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}
