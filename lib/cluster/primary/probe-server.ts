import http from 'node:http';
import type { InheritedSocket, TcpAddress } from '../../core/config';
import { addressInUse, listenError } from '../../core/listen-address';
import { listeningHandle } from '../../internals/socket-handoff';
import { deferred } from '../../support/deferred';
import type { ListeningSocket } from './listener';

/** Time for a whole request, ms. */
const PATIENCE_MS = 5000;

/** Its socket, which the next primary can listen on, too. */
export interface ProbeServer extends ListeningSocket {
  close(): void;
}

/**
 * Answers `/health` and `/ready` for a tree that serves no web, in its primary.
 * @param unready says why the tree is not ready; undefined: it is.
 * @throws UserError when the address cannot be used.
 */
export async function answerProbes(
  address: TcpAddress | InheritedSocket,
  unready: () => string | undefined,
): Promise<ProbeServer> {
  const limits = { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS };
  const server = http.createServer(limits, ({ method = '', url = '' }, response) => {
    const path = url.split('?', 1)[0];
    const isKnown = path === '/health' || path === '/ready';
    const isRead = method === 'GET' || method === 'HEAD';
    const reason = path === '/ready' ? unready() : undefined;
    const status = !isKnown ? 404 : !isRead ? 405 : reason === undefined ? 200 : 503;
    const body = status === 503 ? { status: 'unready', reason } : { status: status === 200 ? 'ok' : 'error' };
    response.writeHead(status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      // After a hot restart the next request reaches the next primary.
      connection: 'close',
      ...(status === 405 && { allow: 'GET, HEAD' }),
    });
    response.end(`${JSON.stringify(body)}\n`);
  });
  const listening = deferred();
  const refuse = (error: NodeJS.ErrnoException) => listening.reject(listenError(error, address, 'PROBE_PORT'));
  server.once('error', refuse);
  if (address.kind === 'inherited') server.listen({ fd: address.fd }, listening.resolve);
  else server.listen({ host: address.host, port: address.port }, listening.resolve);
  await listening.promise;
  server.off('error', refuse);
  // A probe that cannot be accepted is asked again.
  server.on('error', () => undefined);
  const handle = listeningHandle(server);
  if (!handle) throw new Error('the server of PROBE_PORT has closed');
  return { handle, name: addressInUse(server, address), path: null, close: () => server.close() };
}
