import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import type { ListenAddress, SocketPath } from './config';
import { EXIT, UserError } from './errors';

/**
 * Checks that the address is free, before anything else is started. A socket file that nobody listens on is removed.
 * @throws UserError that names the address and what to do.
 */
export async function ensureFree(address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeStaleSocket(address.path);
  const probe = net.createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, address)));
    probe.once('listening', () => probe.close(() => resolve()));
    if (address.kind === 'unix') probe.listen(address.path);
    else probe.listen({ host: address.host, port: address.port });
  });
}

/** Lets the server listen on a socket file, which has its mode from the start. */
export function listenOnFile(server: net.Server, { path, mode }: SocketPath, onListening: () => void): void {
  // Node creates the file within the call: no other file is created under this mask.
  const mask = mode === null ? undefined : process.umask(0o777 & ~mode);
  try {
    server.listen(path, onListening);
    // A default ACL of the folder overrides the mask.
    if (mode !== null && server.listening) fs.chmodSync(path, mode);
  } finally {
    if (mask !== undefined) process.umask(mask);
  }
}

/** @returns the URL of a listening server, such as `http://127.0.0.1:3000`, or `unix:` and its path. */
export function addressInUse(server: net.Server, address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `http://${host}:${port}`;
}

/** @returns a UserError with advice when listening failed because of a setting; other errors unchanged. */
export function listenError(error: NodeJS.ErrnoException, address: ListenAddress): Error {
  const [where, variable] =
    address.kind === 'unix' ? [address.path, 'HOST'] : [`port ${address.port} on ${address.host}`, 'PORT'];
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: `${where} is taken. Stop what uses it, or set ${variable} to another one.`,
    EACCES: `There is no permission to listen on ${where}. Set ${variable} to another one; ports below 1024 need root.`,
    EADDRNOTAVAIL: `HOST is wrong: this machine cannot listen on ${where}. Use 0.0.0.0 or 127.0.0.1.`,
    ENOTFOUND: `HOST is wrong: this machine cannot listen on ${where}. Use 0.0.0.0 or 127.0.0.1.`,
  };
  const message = advice[error.code ?? ''];
  return message === undefined ? error : new UserError(`Catamount cannot start: ${message}`, EXIT.unavailable);
}

/** With PORT=0 the port of links in mails is known only once the tree listens. */
function lacksPort(appUrl: string): boolean {
  return new URL(appUrl).port === '0';
}

/** @param address of the listening tree. @returns the URL with that port if it had none. */
export function appUrlAt(appUrl: string, address: string): string {
  if (!lacksPort(appUrl) || !URL.canParse(address)) return appUrl;
  const url = new URL(appUrl);
  url.port = new URL(address).port;
  return url.href.replace(/\/+$/, '');
}

async function removeStaleSocket(file: string): Promise<void> {
  if (!fs.existsSync(file)) return;
  const answered = await new Promise<boolean>((resolve) => {
    const socket = net.connect(file, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (!answered && fs.statSync(file).isSocket()) fs.unlinkSync(file);
}
