import path from 'node:path';
import type { Config, ListenAddress, ListenOptions } from './config-types';
import { kind, oneOf, type SettingsReader, text, whole } from './settings-reader';

/** Default of PORT, and the port of links in mails when the tree does not listen on one. */
export const DEFAULT_PORT = 3000;

const FILE = text('a path', /./);
const HOST = text('an address, a host name, or unix:/path/to.sock', /^(unix:.+|[^\s/]+)$/);
const PORT = whole(0, 65_535);
const BACKLOG = whole(1, 65_535);
const MODE = kind('an octal mode, such as 0660', (mode) =>
  /^0?[0-7]{3}$/.test(mode) ? Number.parseInt(mode, 8) : undefined,
);
const NETWORK = /^(tcp|tls):\/\/(?:\[([\da-f:.]+)\]|([^\s/?:[\]]*)):(\d+)\/?(?:\?(.*))?$/i;
const SOCKET = /^unix:(?:\/\/)?(\/[^?]+)(?:\?(.*))?$/;
const ADDRESSES =
  'addresses such as tcp://:3000?backlog=511,tls://:3443,unix:///run/app.sock?mode=660; an option is backlog, ' +
  'proxy_protocol=1, or the mode of a unix socket';

/** @returns what follows the question mark; undefined when an option is unknown or wrong. */
function readOptions(query: string): (ListenOptions & { readonly mode: number | null }) | undefined {
  const { backlog, proxy_protocol: proxy, mode, ...unknown } = Object.fromEntries(new URLSearchParams(query));
  const parsed = {
    backlog: backlog === undefined ? null : BACKLOG.parse(backlog),
    mode: mode === undefined ? null : MODE.parse(mode),
  };
  if (Object.keys(unknown).length > 0 || !['1', undefined].includes(proxy)) return undefined;
  if (parsed.backlog === undefined || parsed.mode === undefined) return undefined;
  return {
    mode: parsed.mode,
    ...(parsed.backlog !== null && { backlog: parsed.backlog }),
    ...(proxy && { proxyProtocol: true }),
  };
}

/** @returns one entry of LISTEN; undefined when it is wrong. */
function parseAddress(given: string, defaultHost: string): ListenAddress | undefined {
  const [, file, fileQuery = ''] = SOCKET.exec(given) ?? [];
  const [, scheme, ipv6, name, digits, query = ''] = NETWORK.exec(given) ?? [];
  const options = readOptions(file === undefined ? query : fileQuery);
  if (!options) return undefined;
  if (file !== undefined) return { kind: 'unix', path: file, ...options };
  const port = digits === undefined ? undefined : PORT.parse(digits);
  const { mode, ...rest } = options;
  if (port === undefined || mode !== null) return undefined;
  return {
    kind: 'tcp',
    host: ipv6 || name || defaultHost,
    port,
    ...rest,
    ...(scheme?.toLowerCase() === 'tls' && { tls: true }),
  };
}

/**
 * Reads where the tree listens: LISTEN, or else HOST and PORT; the files of its certificate; and PROBE_PORT.
 * @returns also the port for links: that of the first address, or PORT where that is a socket.
 */
export function readListen(
  read: SettingsReader,
  { cwd, production }: { readonly cwd: string; readonly production: boolean },
): { readonly port: number; readonly listening: Pick<Config, 'listen' | 'tls' | 'probes'> } {
  const defaultHost = production ? '0.0.0.0' : '127.0.0.1';
  const host = read.get('HOST', HOST, defaultHost);
  const port = read.get('PORT', PORT, DEFAULT_PORT);
  const mode = read.get('SOCKET_MODE', MODE, null);
  const probePort = read.get('PROBE_PORT', PORT, null);
  const tls = readTls(read, cwd);
  const list = kind(ADDRESSES, (given) => {
    const addresses = given.split(',').map((each) => parseAddress(each.trim(), defaultHost));
    return addresses.every((each) => each !== undefined) ? addresses : undefined;
  });
  const [isSocket, secure] = [host.startsWith('unix:'), tls ? { tls: true } : {}];
  const listen = read.get<readonly ListenAddress[], readonly ListenAddress[]>('LISTEN', list, [
    isSocket
      ? { kind: 'unix', path: path.resolve(cwd, host.slice('unix:'.length)), mode, ...secure }
      : { kind: 'tcp', host, port, ...secure },
  ]);
  const wantsTls = listen.some((address) => address.tls);
  if (wantsTls && !tls) read.require('TLS_CERT', 'the file of the certificate, since LISTEN has a tls:// address');
  if (tls && !wantsTls) {
    read.complain('LISTEN', read.raw('LISTEN') ?? '', 'with a tls:// address, since TLS_CERT is set');
  }
  const [first] = listen;
  return {
    port: first?.kind === 'tcp' ? first.port : port,
    listening: {
      listen,
      ...(tls && { tls }),
      ...(probePort !== null && { probes: { kind: 'tcp', host: isSocket ? '127.0.0.1' : host, port: probePort } }),
    },
  };
}

function readTls(read: SettingsReader, cwd: string): Config['tls'] {
  const [cert, key] = [read.get('TLS_CERT', FILE, null), read.get('TLS_KEY', FILE, null)];
  if (cert !== null) read.require('TLS_KEY', 'the file of the private key, since TLS_CERT is set');
  if (key !== null) read.require('TLS_CERT', 'the file of the certificate, since TLS_KEY is set');
  const [ca, ofClients] = [
    read.get('TLS_CLIENT_CA', FILE, null),
    read.get('TLS_CLIENT_CERT', oneOf('required', 'optional'), null),
  ];
  if (ofClients !== null) read.require('TLS_CLIENT_CA', 'the file of the authorities, since TLS_CLIENT_CERT is set');
  if (ca !== null) read.require('TLS_CERT', 'the file of the certificate, since TLS_CLIENT_CA is set');
  if (cert === null || key === null) return undefined;
  const clients = ca !== null && { ca: path.resolve(cwd, ca), isRequired: ofClients !== 'optional' };
  return { cert: path.resolve(cwd, cert), key: path.resolve(cwd, key), ...(clients && { clients }) };
}
