import net from 'node:net';

/**
 * Whether the Host header names this machine. A page of a stranger's whose name was made to point here (DNS rebinding)
 * has the stranger's name in it.
 */
export function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname);
}

/** Of a connection; undefined for a unix socket, which only this machine has. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return true;
  const plain = address.replace(/^\[|\]$/g, '').replace(/^::ffff:/i, '');
  return plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}
