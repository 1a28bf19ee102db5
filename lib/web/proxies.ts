import { BlockList, isIP } from 'node:net';
import type Koa from 'koa';
import type { TrustedProxies } from '../core/config';

/** Headers set by proxies. From any other peer they may be forged. */
const HEADERS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-start'] as const;
const FORWARDING = [...HEADERS.slice(0, 3), 'forwarded', 'x-real-ip', 'via'];

/**
 * Finds the caller's address behind trusted proxies, and removes proxy headers from requests of other peers, so that no
 * later middleware need decide whom to trust.
 */
export function proxies(trust: TrustedProxies): Koa.Middleware {
  const isTrusted = 'hops' in trust ? undefined : matcher(trust.addresses);
  return (ctx, next) => {
    const { headers, socket } = ctx.req;
    const peer = plain(socket.remoteAddress ?? '');
    ctx.forwarded = FORWARDING.some((name) => headers[name] !== undefined);
    // Only a proxy on this machine connects through a unix socket, so its empty address is trusted.
    const believed = isTrusted ? peer === '' || isTrusted(peer) : 'hops' in trust && trust.hops > 0;
    if (!believed) for (const name of HEADERS) delete headers[name];
    const told = ctx
      .get('X-Forwarded-For')
      .split(',')
      .map((address) => plain(address.trim()));
    ctx.request.ip = (isTrusted ? beyond(told, isTrusted) : atHop(told, trust)) ?? peer;
    return next();
  };
}

/** Each proxy appends its peer, so the caller is the last address that is no trusted proxy, or the first of all. */
function beyond(told: readonly string[], isTrusted: (address: string) => boolean): string | undefined {
  const known = told.slice(told.findLastIndex((address) => isIP(address) === 0) + 1);
  return known.findLast((address) => !isTrusted(address)) ?? known[0];
}

function atHop(told: readonly string[], trust: TrustedProxies): string | undefined {
  const address = 'hops' in trust && trust.hops > 0 ? told[Math.max(0, told.length - trust.hops)] : undefined;
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}

function matcher(addresses: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = '', bits] = one.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Reduces an IPv4-mapped IPv6 address to IPv4. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
