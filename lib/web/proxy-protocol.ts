import { isIP, SocketAddress } from 'node:net';
import type { ClientAddress } from '../internals/socket-handoff';

/** What version 2 begins with; no request of HTTP and no version 1 does. */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V1 = Buffer.from('PROXY ', 'latin1');
/** Longest header of version 1, bytes, with its line end. */
const V1_MAX = 107;
/** Longest rest of a header of version 2, bytes: addresses, and what a proxy adds to them. */
const V2_MAX = 4096;
const V2_FIXED = 16;

export interface ProxyHeader {
  /** Its bytes; the client's own follow. */
  readonly length: number;
  /** undefined: the proxy speaks for itself, such as by a health check. */
  readonly client: ClientAddress | undefined;
}

/**
 * Reads a header of the PROXY protocol, version 1 or 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt). No package that is kept
 * up does: those on npm have had no release for years.
 * @param bytes the first bytes of the connection.
 * @returns undefined while more bytes are needed. @throws Error when there is no valid header.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (startsAlike(bytes, SIGNATURE)) return readV2(bytes);
  if (startsAlike(bytes, V1)) return readV1(bytes);
  throw new Error('it does not begin with a header of the PROXY protocol');
}

function startsAlike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function readV1(bytes: Buffer): ProxyHeader | undefined {
  const end = bytes.subarray(0, V1_MAX).indexOf('\r\n');
  if (end < 0) {
    if (bytes.length < V1_MAX) return undefined;
    throw new Error('its header of the PROXY protocol is too long');
  }
  const line = bytes.toString('latin1', 0, end);
  const length = end + 2;
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { length, client: undefined };
  const [, family, source = '', target = '', port, targetPort] =
    /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(line) ?? [];
  const isValid = [source, target].every((address) => isIP(address) === Number(family));
  if (!isValid || Number(port) > 65_535 || Number(targetPort) > 65_535) throw malformed();
  return { length, client: clientOf(source, Number(port)) };
}

function readV2(bytes: Buffer): ProxyHeader | undefined {
  if (bytes.length < V2_FIXED) return undefined;
  const [command, family, rest] = [bytes.readUInt8(12), bytes.readUInt8(13), bytes.readUInt16BE(14)];
  if ((command !== 0x20 && command !== 0x21) || rest > V2_MAX) throw malformed();
  const length = V2_FIXED + rest;
  // What is longer than all that a proxy may send is refused above, so that this ends.
  if (bytes.length < length) return undefined;
  const addresses = bytes.subarray(V2_FIXED, length);
  // LOCAL: the proxy itself. The family is then to be ignored.
  if (command === 0x20) return { length, client: undefined };
  switch (family) {
    case 0x00: // unspecified
    case 0x31: // a Unix socket
      return { length, client: undefined };
    case 0x11:
      if (rest < 12) throw malformed();
      return { length, client: clientOf(addresses.subarray(0, 4).join('.'), addresses.readUInt16BE(8)) };
    case 0x21: {
      if (rest < 36) throw malformed();
      const groups = Array.from({ length: 8 }, (_, i) => addresses.readUInt16BE(2 * i).toString(16));
      return { length, client: clientOf(groups.join(':'), addresses.readUInt16BE(32)) };
    }
    default:
      throw malformed();
  }
}

/** @param address in any spelling. */
function clientOf(address: string, port: number): ClientAddress {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  const { address: remoteAddress } = new SocketAddress({ address, family, port });
  return { remoteAddress, remotePort: port, remoteFamily: family === 'ipv6' ? 'IPv6' : 'IPv4' };
}

function malformed(): Error {
  return new Error('its header of the PROXY protocol is malformed');
}
