import type { ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ProblemError } from './context';

/** Responses to the errors of Node's parser and of its timeouts; a request with any other error is malformed. */
const RESPONSES: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
  HPE_HEADER_OVERFLOW: [431, 'The headers of the request are too large.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The extensions of a chunk are too large.'],
};

/**
 * Sends a problem document to a client whose request Node has rejected, and closes the connection.
 * @param due the unfinished responses of the connection. If the headers of one have been sent, it can only be cut off.
 */
export function refuse(error: NodeJS.ErrnoException, socket: Duplex, due: readonly ServerResponse[]): void {
  if (!socket.writable || error.code === 'ECONNRESET' || due.some((response) => response.headersSent)) {
    socket.destroy(error);
    return;
  }
  const [status, detail] = RESPONSES[error.code ?? ''] ?? [400, 'The request is not well-formed HTTP.'];
  const id = due[0]?.getHeader('X-Request-Id');
  const document = new ProblemError(status, { detail }).toDocument(typeof id === 'string' ? id : undefined);
  const body = JSON.stringify(document);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.once('error', () => undefined);
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
