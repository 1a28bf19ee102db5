import net from 'node:net';

/** The code of a CancelRequest, which stands where other first messages have the protocol version (Postgres, Message Formats). */
const CANCEL_REQUEST = 80_877_102;
/** A server that has not taken a cancel request by then, ms, is silent, and would not cancel anything. */
const CANCEL_MS = 1000;

/** What a pg client has of its session. */
export interface ServerSession {
  /** The server's address; a host that begins with / is a folder with its socket. */
  readonly host?: string;
  readonly port?: number;
  readonly processID?: number | null;
  readonly secretKey?: number | null;
}

/**
 * Sends the protocol's CancelRequest on a connection of its own, which the server closes without an answer. It is not
 * encrypted: servers take it without TLS, too, and what it reveals only concerns this connection, which the pool drops.
 */
export function requestCancel({ host, port, processID, secretKey }: ServerSession): void {
  if (!host || !port || !Number.isInteger(processID) || !Number.isInteger(secretKey)) return;
  const request = Buffer.alloc(16);
  for (const [index, word] of [request.length, CANCEL_REQUEST, processID, secretKey].entries())
    request.writeInt32BE(Number(word), index * 4);
  const socket = host.startsWith('/') ? net.connect(`${host}/.s.PGSQL.${port}`) : net.connect(port, host);
  socket.setTimeout(CANCEL_MS, () => socket.destroy());
  socket.on('error', () => undefined);
  socket.resume();
  socket.end(request);
}
