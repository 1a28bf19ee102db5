import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keepBroadcastsHere } from '../broadcast/broadcast';
import { environment } from '../core/config';
import { publishDiagnostics } from '../core/diagnostics';
import { UserError } from '../core/errors';
import { Events } from '../core/events';
import { readSettings } from '../core/settings';
import type { AppDefinition, RouteEnvironment } from '../role/app/app-definition';
import { appService } from '../role/app/app-service';
import { loadOwnWeb, loadRoutes } from '../role/app/load-parts';
import { Deadline } from '../support/deadline';
import type { Service } from '../support/service';
import { toError } from '../support/to-error';
import { createApplication } from '../web/application';
import { RateLimits } from '../web/rate-limit';
import { createHttpServer } from '../web/server';
import type { TestAnswer, TestRequestOptions, TestRequestsOptions } from './request';

/** Timeout of the app's `workerStop`, ms. */
const CLOSE_MS = 5000;
const TIMEOUT_MS = 5000;
const LOCAL = '127.0.0.1';
/** Maximum length of a body in a message, characters. */
const MAX_SHOWN_BODY_LENGTH = 300;

/** The web of one app in this process, on a port of its own, which keeps no process alive. */
export class InProcessApp {
  /** Reported errors, by the id of their request. */
  private readonly errors = new Map<string, Error>();

  private constructor(
    private readonly server: http.Server,
    events: Events,
    private readonly own: Service | undefined,
  ) {
    events.on('request.error', ({ requestId, error }) => this.errors.set(requestId, error));
  }

  /** @throws UserError for unusable settings or parts of the app; the error of its `koa` or `workerBoot`. */
  static async open(app: AppDefinition, { settings = {} }: TestRequestsOptions): Promise<InProcessApp> {
    const config = readSettings({ env: { ...environment(), NODE_ENV: 'test', ...settings }, cwd: app.root });
    const events = new Events();
    publishDiagnostics(events);
    keepBroadcastsHere();
    const limits = new RateLimits(app.name, undefined);
    const scope: RouteEnvironment = {
      config,
      limit: (name, rate) => limits.limit(name, rate),
      stats: () => Promise.reject(new UserError('stats() needs a tree: in a test of requests, there is none.')),
    };
    const routes = await loadRoutes(app);
    const own = appService(app, { role: 'web', slot: 0, config });
    await own?.start();
    const application = createApplication({
      ...(await loadOwnWeb(app, scope)),
      config,
      events,
      appName: app.name,
      localesDir: app.localesDir,
      routes: (router) => routes(router, scope),
      readiness: [],
      isLeaving: () => false,
    });
    const server = createHttpServer(application.callback(), config.web);
    await once(server.listen(0, LOCAL).unref(), 'listening');
    return new InProcessApp(server, events, own);
  }

  async send(method: string, path: string, options: TestRequestOptions): Promise<TestAnswer> {
    const { timeoutMs = TIMEOUT_MS } = options;
    const { body, headers, requestId } = outgoing(options);
    const what = `${method} ${path}`;
    const signal = AbortSignal.timeout(timeoutMs);
    const { port } = this.server.address() as AddressInfo;
    try {
      // Without an agent the connection closes after the response, so that it keeps no process alive.
      const answer = await exchange({ host: LOCAL, port, method, path, headers, agent: false, signal }, body);
      const { statusCode: status = 0, headers: received } = answer.head;
      const text = answer.body.toString();
      const error = this.errors.get(requestId);
      return { status, headers: received, text, body: answer.body, error, json: () => parsed(what, status, text) };
    } catch (thrown) {
      const cause = this.errors.get(requestId) ?? toError(thrown);
      const why = signal.aborted
        ? `no complete response in ${timeoutMs} ms; raise timeoutMs, or end the response`
        : `the response was cut off: ${cause.message}`;
      throw new Error(`request: ${what}: ${why}`, { cause });
    } finally {
      this.errors.delete(requestId);
    }
  }

  /** Awaits the app's `workerStop`. */
  async close(): Promise<void> {
    this.server.close();
    await this.own?.stop(Deadline.after(CLOSE_MS));
  }
}

function outgoing({ json, body, headers: given = {} }: TestRequestOptions) {
  const headers: OutgoingHttpHeaders = { host: 'localhost' };
  for (const [name, value] of Object.entries(given)) {
    headers[name.toLowerCase()] = typeof value === 'string' ? value : [...value];
  }
  const bytes = json === undefined ? body : JSON.stringify(json);
  if (json !== undefined) headers['content-type'] ??= 'application/json';
  if (bytes !== undefined && headers['transfer-encoding'] === undefined)
    headers['content-length'] ??= Buffer.byteLength(bytes);
  // The error behind the response is found by this id.
  headers['x-request-id'] ??= randomUUID();
  return { body: bytes, headers, requestId: String(headers['x-request-id']) };
}

interface Received {
  readonly head: IncomingMessage;
  readonly body: Buffer;
}

function exchange(options: http.RequestOptions, body: string | Uint8Array | undefined): Promise<Received> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(options, (head) => {
      const chunks: Buffer[] = [];
      head.on('data', (chunk: Buffer) => chunks.push(chunk));
      head.once('error', reject);
      head.once('end', () => resolve({ head, body: Buffer.concat(chunks) }));
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

function parsed<T>(what: string, status: number, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (thrown) {
    const shown = text === '' ? 'no body' : `no JSON: ${text.slice(0, MAX_SHOWN_BODY_LENGTH)}`;
    throw new Error(`request: ${what} answered ${status} with ${shown}`, { cause: thrown });
  }
}
