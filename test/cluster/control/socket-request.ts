import http from 'node:http';
import net from 'node:net';
import { socketAddress } from '../../../lib/cluster/control/state-file';

export interface SocketAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** Sends one HTTP request over a Unix socket, with only the given headers besides those that Node adds. */
export function socketRequest(
  socket: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<SocketAnswer> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: socketAddress(socket), method, path, headers, agent: false };
    const request = http.request(options, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text || '{}') }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

/** Sends raw bytes and resolves with everything that comes back until the server closes the connection. */
export function rawExchange(socket: string, bytes: Uint8Array | string, { end = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const connection = net.connect(socketAddress(socket), () =>
      end ? connection.end(bytes) : connection.write(bytes),
    );
    connection.on('data', (part) => {
      received += part;
    });
    // A server that stops reading resets the connection.
    connection.on('error', () => undefined);
    connection.on('close', () => resolve(received));
  });
}
