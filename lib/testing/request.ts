import type { IncomingHttpHeaders } from 'node:http';
import { inspect } from 'node:util';
import type { AppDefinition } from '../role/app/app-definition';
import type { InProcessApp } from './in-process-app';

/** Options of `request`. */
export interface TestRequestsOptions {
  /**
   * Settings that replace those of the environment, by their names in lib/core/README.md: `{ TRUST_PROXY: '1' }`.
   * NODE_ENV is `test` unless it is given here. Default: none.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** The parts of a request other than its method and path. */
export interface TestRequestOptions {
  /** The body, sent as application/json unless `headers` name another type. Default: no body. */
  readonly json?: unknown;
  /** The body to send unchanged, such as a form or a signed text. `headers` must name its type. Default: no body. */
  readonly body?: string | Uint8Array | undefined;
  /** Headers by name, in any case: `{ Cookie: 'a=1', 'Accept-Language': 'ko' }`. Default: only Host and the body's. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Time limit for the complete response, ms. Default 5000. */
  readonly timeoutMs?: number | undefined;
}

/** A complete response. */
export interface TestAnswer {
  /** The HTTP status, such as 201. */
  readonly status: number;
  /** The headers by lower-case name; `set-cookie` is a list. */
  readonly headers: IncomingHttpHeaders;
  /** The body, read as UTF-8; '' if there is none. */
  readonly text: string;
  /** The bytes of the body. */
  readonly body: Buffer;
  /** The error behind a status of 500 or above, which the response does not reveal; undefined if there was none. */
  readonly error: Error | undefined;
  /**
   * Parses the body as JSON, without checking its shape.
   * @throws Error that shows the status and the body, if it is not JSON.
   */
  json<T = unknown>(): T;
}

/** Sends requests to an app in this process. Every method resolves with the complete response, whatever its status. */
export interface TestRequests {
  /** Sends a GET request. */
  get(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Sends a HEAD request. */
  head(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Sends a POST request. */
  post(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Sends a PUT request. */
  put(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Sends a PATCH request. */
  patch(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Sends a DELETE request. */
  delete(path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /**
   * Sends a request with any method.
   * @param path begins with `/`, and may have a query.
   * @throws TypeError for a path or options that cannot be sent; Error if the app cannot be loaded, or if the response
   * is not complete in time or is cut off by the app.
   */
  send(method: string, path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Awaits the app's `workerStop`, if `workerBoot` has been called. Nothing else has to be closed. Idempotent. */
  close(): Promise<void>;
  /** Calls `close`, at the end of a scope with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Sends requests through the app's entire web in this process, without a port: Catamount's middleware, the app's `koa`,
 * `bodyParser`, headers and routes, and the problem documents for errors. The client's address is 127.0.0.1. Rate
 * limits count in memory, separately for each `request(app)`. There are no operators' pages. Jobs, models and mails are
 * those that the other functions of `catamount/testing` have connected.
 *
 *     const shop = request(app)
 *     const answer = await shop.post('/users', { json: { email: 'ada@example.com' } })
 *     assert.equal(answer.status, 201, answer.text)
 *     assertEnqueued(WelcomeEmailJob, { times: 1 })
 *
 * The first request loads the app and awaits its `workerBoot`.
 * @param app the app, as `defineApp` returns it.
 * @throws TypeError for anything that `defineApp` has not returned.
 */
export function request(app: AppDefinition, options: TestRequestsOptions = {}): TestRequests {
  checkManifest(app);
  checkNames('request', options, ['settings']);
  let opened: Promise<InProcessApp> | undefined;
  const open = async () => {
    // Koa and the routes are loaded only by tests that send requests.
    const { InProcessApp } = await import('./in-process-app');
    return InProcessApp.open(app, options);
  };
  const send = async (method: string, path: string, given: TestRequestOptions = {}) => {
    checkRequest(method, path, given);
    opened ??= open();
    return (await opened).send(method.toUpperCase(), path, given);
  };
  const close = async () => {
    const last = opened;
    opened = undefined;
    await (await last?.catch(() => undefined))?.close();
  };
  return {
    get: (path, given) => send('GET', path, given),
    head: (path, given) => send('HEAD', path, given),
    post: (path, given) => send('POST', path, given),
    put: (path, given) => send('PUT', path, given),
    patch: (path, given) => send('PATCH', path, given),
    delete: (path, given) => send('DELETE', path, given),
    send,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkManifest(app: AppDefinition): void {
  const { routes, jobsDir } = (app ?? {}) as Partial<AppDefinition>;
  if (typeof routes === 'function' && typeof jobsDir === 'string') return;
  throw new TypeError(`request: ${shown(app)} is not an app; give what defineApp returns, as app.js exports it`);
}

function checkRequest(method: string, path: string, options: TestRequestOptions): void {
  if (typeof method !== 'string' || !/^[A-Za-z-]+$/.test(method))
    throw new TypeError(`request: ${shown(method)} is not a method; give one such as 'PROPFIND'`);
  const name = `request: ${method.toUpperCase()}`;
  if (typeof path !== 'string' || !path.startsWith('/') || /[^\x21-\x7e]/.test(path))
    throw new TypeError(`${name} ${shown(path)} is not a path; give one such as '/users?page=2', percent-encoded`);
  checkNames(`${name} ${path}`, options, ['json', 'body', 'headers', 'timeoutMs']);
  const { json, body, timeoutMs = 1 } = options;
  if (json !== undefined && body !== undefined)
    throw new TypeError(`${name} ${path}: json and body are both given; give only the one to send`);
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array))
    throw new TypeError(`${name} ${path}: body is ${shown(body)}; give text or bytes, or an object as json`);
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0))
    throw new TypeError(`${name} ${path}: timeoutMs is ${shown(timeoutMs)}; give milliseconds above 0`);
}

function checkNames(who: string, options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${who}: the options are ${shown(options)}; give an object with ${names.join(', ')}`);
  const surplus = Object.keys(options).find((name) => !names.includes(name));
  if (surplus === undefined) return;
  throw new TypeError(`${who}: there is no option ${surplus}; the options are ${names.join(', ')}`);
}

function shown(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 100 });
}
