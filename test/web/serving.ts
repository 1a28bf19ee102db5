import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type Koa from 'koa';
import type { TrustedProxies } from '../../lib/core/config';
import { type EventMap, Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import type { RouteEnvironment, Routes } from '../../lib/role/app/app-definition';
import { type ApplicationOptions, createApplication } from '../../lib/web/application';
import { ConcurrencyLimiter } from '../../lib/web/concurrency-limiter';
import type { HealthOptions, ReadinessCheck } from '../../lib/web/options';
import { type OwnWeb, ownWeb } from '../../lib/web/own-web';
import { RateLimits } from '../../lib/web/rate-limit';
import { createHttpServer } from '../../lib/web/server';

export interface ServingOptions {
  readonly routes?: Routes;
  /** Default: settings for tests, and a Redis that is unreachable. */
  readonly environment?: RouteEnvironment;
  readonly web?: {
    readonly maxThreads?: number;
    readonly backlog?: number;
    readonly queueTimeoutMs?: number;
    readonly writeTimeoutMs?: number;
    readonly requestTimeoutMs?: number;
    readonly headerTimeoutMs?: number;
    readonly keepAliveTimeoutMs?: number;
    readonly keepAliveRequests?: number;
    readonly bodyLimitBytes?: number;
  };
  /** Default: 127.0.0.1, to which requests are sent in any case. */
  readonly host?: string;
  readonly trustProxy?: TrustedProxies;
  readonly readiness?: readonly ReadinessCheck[];
  readonly degraded?: HealthOptions['degraded'];
  readonly jobs?: HealthOptions['jobs'];
  readonly isLeaving?: () => boolean;
  readonly koa?: Koa;
  readonly localesDir?: string;
  /** Default: en. */
  readonly defaultLocale?: string;
  /** The app's own settings of its web, as in `defineApp`. */
  readonly own?: OwnWeb;
  readonly beside?: Parameters<typeof createApplication>[0]['mounts'];
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  readonly json: Record<string, unknown>;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  readonly agent?: http.Agent;
}

function alone(): RouteEnvironment {
  const limits = new RateLimits('shop', new Redis('redis://127.0.0.1:1', new Events()).client);
  const config = readSettings({ env: { NODE_ENV: 'test' }, cwd: process.cwd() });
  return { config, limit: (name, rate) => limits.limit(name, rate), stats: async () => ({}) };
}

/** The application on a real server, on its own port. */
export class Serving {
  readonly limit: ConcurrencyLimiter;
  readonly finished: EventMap['request.finished'][] = [];
  readonly untrusted: string[] = [];
  readonly errors: EventMap['request.error'][] = [];
  readonly warnings: string[] = [];
  private readonly server: http.Server;

  private constructor(options: ServingOptions, own: Partial<ApplicationOptions>) {
    const web = {
      enabled: true,
      concurrency: 0,
      sizing: null,
      maxThreads: 5,
      backlog: 512,
      queueTimeoutMs: 600_000,
      requestTimeoutMs: 29_000,
      headerTimeoutMs: 15_000,
      keepAliveTimeoutMs: 95_000,
      bodyLimitBytes: 100_000,
      writeTimeoutMs: 10_000,
      workerTimeoutMs: 60_000,
      bootTimeoutMs: 30_000,
      ...options.web,
    };
    const events = new Events();
    events.on('request.finished', (event) => this.finished.push(event));
    events.on('process.warning', ({ message }) => this.warnings.push(message));
    events.on('request.error', (event) => this.errors.push(event));
    this.limit = new ConcurrencyLimiter(web);
    const app = createApplication({
      config: { trustProxy: options.trustProxy ?? { hops: 0 }, defaultLocale: options.defaultLocale ?? 'en', web },
      events,
      appName: 'shop',
      routes: (router) => options.routes?.(router, options.environment ?? alone()),
      readiness: options.readiness ?? [],
      ...(options.degraded && { degraded: options.degraded }),
      ...(options.jobs && { jobs: options.jobs }),
      isLeaving: options.isLeaving ?? (() => false),
      limiter: this.limit,
      onUntrustedProxy: (peer) => this.untrusted.push(peer),
      ...own,
      ...(options.localesDir && { localesDir: options.localesDir }),
      ...(options.koa && { koa: options.koa }),
      ...(options.beside && { mounts: options.beside }),
    });
    this.server = createHttpServer(app.callback(), web);
  }

  static async start(options: ServingOptions = {}): Promise<Serving> {
    const serving = new Serving(options, options.own ? await ownWeb(options.own) : {});
    await new Promise<void>((resolve) => serving.server.listen(0, options.host ?? '127.0.0.1', resolve));
    return serving;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  request(path: string, { method = 'GET', headers = {}, body, agent }: RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { port: this.port, host: '127.0.0.1', path, method, headers, agent: agent ?? false };
      const request = http.request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            get json() {
              return JSON.parse(text) as Record<string, unknown>;
            },
          });
        });
      });
      request.once('error', reject);
      request.end(body);
    });
  }

  post(path: string, body: string | Buffer, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    return this.request(path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  }

  /** Sends raw bytes. @returns everything received until the server, or the end of `bytes`, closed the connection. */
  async raw(bytes: string | Buffer): Promise<string> {
    const socket = await this.connect();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.end(bytes);
    await closed;
    return Buffer.concat(chunks).toString();
  }

  connect(): Promise<net.Socket> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.port, '127.0.0.1', () => resolve(socket));
      socket.once('error', reject);
      // Some tests expect a reset.
      socket.on('error', () => undefined);
    });
  }
}
