import { BlockList, isIP } from 'node:net';
import type Koa from 'koa';
import type { TrustedProxies } from '../core/config';

/** Headers set by proxies. Any other peer may have forged them. */
const PROXY_HEADERS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'] as const;
const FORWARDING = [...PROXY_HEADERS, 'forwarded', 'x-real-ip', 'via'];

/**
 * Finds the client's address behind trusted proxies, and removes proxy headers from requests of other peers, so that no
 * later middleware has to decide whom to trust.
 * @param onUntrustedProxy called for each removed header with the peer's address, which is empty for a unix socket.
 */
export function proxies(trust: TrustedProxies, onUntrustedProxy?: (peer: string) => void): Koa.Middleware {
  const isTrusted = 'hops' in trust ? undefined : trustedPeers(trust.addresses);
  return (ctx, next) => {
    const { headers, socket } = ctx.req;
    const peer = asIPv4(socket.remoteAddress ?? '');
    ctx.forwarded = FORWARDING.some((name) => headers[name] !== undefined);
    // Only a proxy on this machine connects through a unix socket, so its empty address is trusted.
    const believed = isTrusted ? peer === '' || isTrusted(peer) : 'hops' in trust && trust.hops > 0;
    for (const name of PROXY_HEADERS) {
      if (believed || headers[name] === undefined) continue;
      delete headers[name];
      onUntrustedProxy?.(peer);
    }
    const forwarded = ctx
      .get('X-Forwarded-For')
      .split(',')
      .map((address) => asIPv4(address.trim()));
    ctx.request.ip = (isTrusted ? beyond(forwarded, isTrusted) : atHop(forwarded, trust)) ?? peer;
    return next();
  };
}

/**
 * Each proxy appends the address of its peer. So the client is the last address that is not a trusted proxy, or else the first
 * one.
 */
function beyond(forwarded: readonly string[], isTrusted: (address: string) => boolean): string | undefined {
  const trail = forwarded.slice(forwarded.findLastIndex((address) => isIP(address) === 0) + 1);
  return trail.findLast((address) => !isTrusted(address)) ?? trail[0];
}

function atHop(forwarded: readonly string[], trust: TrustedProxies): string | undefined {
  const address = 'hops' in trust && trust.hops > 0 ? forwarded[Math.max(0, forwarded.length - trust.hops)] : undefined;
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}

/** @returns a function that finds an address, which is IPv4 where it can be, among these addresses and networks. */
export function trustedPeers(addresses: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = '', bits] = one.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

export function asIPv4(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
