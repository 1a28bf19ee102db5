import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { InheritedSocket, ListenAddress, ListenOptions, SocketPath } from './config';
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

/**
 * Lets the server listen on a socket file, which has its mode from the start. Closing the server leaves the file, since a
 * successor may listen there by then.
 * @param options.replace true: takes the place of a socket that is there. Otherwise the server emits EADDRINUSE.
 * @returns a function that removes the file, if it is still that of this server, which must be open.
 */
export function listenOnFile(
  server: net.Server,
  { path: file, mode, backlog }: SocketPath,
  { replace = false, onListening = () => undefined }: { replace?: boolean; onListening?: () => void } = {},
): () => void {
  // Node removes the name under which it has bound a socket when it closes it: that is this one, which is gone by then.
  const draft = path.join(path.dirname(file), `.${process.pid.toString(36)}`);
  fs.rmSync(draft, { force: true });
  // Node creates the file within the call: no other file is created under this mask.
  const mask = mode === null ? undefined : process.umask(0o777 & ~mode);
  try {
    server.listen({ path: draft, ...(backlog && { backlog }) });
    if (!server.listening) return () => undefined;
    // A default ACL of the folder overrides the mask.
    if (mode !== null) fs.chmodSync(draft, mode);
    if (replace) fs.renameSync(draft, file);
    else fs.linkSync(draft, file);
    server.once('listening', onListening);
    return removerOf(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    server.close();
    server.emit(
      'error',
      code === 'EEXIST' ? Object.assign(new Error(`${file} exists`), { code: 'EADDRINUSE' }) : error,
    );
    return () => undefined;
  } finally {
    fs.rmSync(draft, { force: true });
    if (mask !== undefined) process.umask(mask);
  }
}

/** @returns a function that removes the file, unless another has taken its place. */
export function removerOf(file: string): () => void {
  const inode = () => fs.statSync(file, { throwIfNoEntry: false })?.ino;
  const own = inode();
  return () => {
    if (own !== undefined && inode() === own) fs.rmSync(file, { force: true });
  };
}

/**
 * @returns the URL of a listening server, such as `http://127.0.0.1:3000`, or `unix:` and its path. A socket that came from
 * outside has no known path: `unix:`.
 */
export function addressInUse(server: net.Server, address: ListenAddress | InheritedSocket): string {
  if (address.kind !== 'tcp' && address.path !== null) return `unix:${address.path}`;
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return `unix:${bound ?? ''}`;
  const host = address.kind === 'tcp' ? address.host : bound.address;
  return `${address.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${bound.port}`;
}

/**
 * @param bound the address of a socket that this process was started with. @param listen the addresses of the settings.
 * @returns the options of the address that is the same; if there is only one, its options go for every socket.
 */
export function optionsFor(bound: ReturnType<net.Server['address']>, listen: readonly ListenAddress[]): ListenOptions {
  const isBound = (address: ListenAddress) =>
    address.kind === 'unix' ? address.path === bound : typeof bound === 'object' && address.port === bound?.port;
  const { tls = false, proxyProtocol = false } = listen.find(isBound) ?? (listen.length === 1 ? listen[0] : {}) ?? {};
  return { tls, proxyProtocol };
}

/** @returns a UserError with advice when listening failed because of a setting; other errors unchanged. */
export function listenError(
  error: NodeJS.ErrnoException,
  address: ListenAddress | InheritedSocket,
  setting = 'PORT or LISTEN',
): Error {
  if (address.kind === 'inherited') {
    const { fd, name } = address;
    const why = `file descriptor ${fd} (${name}), which was passed by LISTEN_FDS, is no listening stream socket`;
    return new UserError(`Catamount cannot start: ${why}: ${error.message}.`, EXIT.unavailable);
  }
  const [where, variable] =
    address.kind === 'unix' ? [address.path, 'HOST or LISTEN'] : [`port ${address.port} on ${address.host}`, setting];
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: `${where} is taken. Stop what uses it, or set ${variable} to another one.`,
    EACCES: `There is no permission to listen on ${where}. Set ${variable} to another one; ports below 1024 need root.`,
    EADDRNOTAVAIL: `HOST or LISTEN is wrong: this machine cannot listen on ${where}. Use 0.0.0.0 or 127.0.0.1.`,
    ENOTFOUND: `HOST or LISTEN is wrong: this machine cannot listen on ${where}. Use 0.0.0.0 or 127.0.0.1.`,
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
