import http from 'node:http';
import type { AddressInfo } from 'node:net';

const CHECK_INTERVAL_MS = 100;
const CHECK_TIMEOUT_MS = 2000;

/** A tree behind the front. */
export interface Backend {
  readonly url: URL;
  /** true if it gets requests. */
  serves: boolean;
  gone: boolean;
}

/**
 * The load balancer of a platform. It sends each request, over a new connection, to the next tree whose last `/ready` was
 * 200. When a connection is refused, nothing was sent, so it tries the next tree, as nginx and Envoy do; nothing else is
 * sent twice.
 */
export class Front {
  private readonly backends: Backend[] = [];
  private turn = 0;
  private readonly server = http.createServer((request, response) => void this.serve(request, response));

  static async start(): Promise<Front> {
    const front = new Front();
    await new Promise<void>((resolve) => front.server.listen(0, '127.0.0.1', resolve));
    return front;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Adds a tree, which gets no request until its `/ready` answers 200. */
  add(url: string): Backend {
    const backend: Backend = { url: new URL(url), serves: false, gone: false };
    this.backends.push(backend);
    void this.check(backend);
    return backend;
  }

  remove(backend: Backend): void {
    Object.assign(backend, { serves: false, gone: true });
    this.backends.splice(this.backends.indexOf(backend), 1);
  }

  async stop(): Promise<void> {
    for (const backend of [...this.backends]) this.remove(backend);
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async check(backend: Backend): Promise<void> {
    while (!backend.gone) {
      const status = await statusOf(new URL('/ready', backend.url));
      backend.serves = status === 200 && !backend.gone;
      await new Promise((resolve) => setTimeout(resolve, CHECK_INTERVAL_MS));
    }
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    for (const backend of this.inTurn()) {
      const error = await pass(backend.url, request, body, response);
      if (error === undefined) return;
      if (error.code === 'ECONNREFUSED') continue;
      return end(response, 502, `${backend.url.host}: ${error.code ?? error.message}`);
    }
    end(response, 502, 'no tree is ready');
  }

  private inTurn(): readonly Backend[] {
    const ready = this.backends.filter(({ serves }) => serves);
    const first = this.turn++ % Math.max(1, ready.length);
    return [...ready.slice(first), ...ready.slice(0, first)];
  }
}

function end(response: http.ServerResponse, status: number, text: string): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
}

/** @returns the error of a request that was not answered completely. */
function pass(
  to: URL,
  { method, url, headers }: http.IncomingMessage,
  body: Buffer,
  response: http.ServerResponse,
): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const { connection: _, ...others } = headers;
    const options = { method, path: url, agent: false, headers: { ...others, host: to.host } };
    const request = http.request(to, options, (answer) => {
      const { connection: __, ...kept } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, kept);
      answer.on('error', resolve);
      answer.on('end', () => resolve(undefined));
      answer.pipe(response);
    });
    request.on('error', resolve);
    request.end(body);
  });
}

/** @returns the status of a GET; undefined without a response in time. */
function statusOf(url: URL): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = http.get(url, { agent: false, timeout: CHECK_TIMEOUT_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
