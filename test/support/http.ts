import http from 'node:http';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface RequestOptions {
  readonly method?: string;
  /** A body sent as application/json, in place of `body`. */
  readonly json?: unknown;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** A loopback address to send from, such as 127.0.0.2, so that the server sees a different client. */
  readonly localAddress?: string;
  /** Keeps the connection for later requests. Default: a new connection for this one. */
  readonly agent?: http.Agent;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  json<T = Record<string, unknown>>(): T;
}

/**
 * Sends one request on its own connection, unless an agent is given, so that nothing is kept alive and no retry hides a
 * failure.
 */
export function request(url: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = 'GET', json, timeoutMs = WAIT_LIMIT_MS, localAddress, agent = false } = options;
  const body = json === undefined ? options.body : JSON.stringify(json);
  const headers = { ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...options.headers };
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, headers, agent, timeout: timeoutMs, localAddress }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const parse = <T>() => JSON.parse(text) as T;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, json: parse });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${url}: no answer within ${timeoutMs} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}
