import type { IncomingHttpHeaders } from 'node:http';
import type { AppDefinition } from '../role/app/app-definition';
import type { InProcessApp } from './in-process-app';
import { requireApp } from './wrong-arguments';

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
   * @throws Error if the request cannot be sent, the app cannot be loaded, or the response is not complete in time or is
   * cut off by the app.
   */
  send(method: string, path: string, options?: TestRequestOptions): Promise<TestAnswer>;
  /** Awaits the app's `workerStop`, if `workerBoot` has been called. Nothing else has to be closed. Idempotent. */
  close(): Promise<void>;
  /** Calls `close`, at the end of a scope with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Sends requests through the app's entire web in this process: Catamount's middleware, the app's `koa`,
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
  requireApp('request', app);
  let opened: Promise<InProcessApp> | undefined;
  const open = async () => {
    // Koa and the routes are loaded only by tests that send requests.
    const { InProcessApp } = await import('./in-process-app');
    return InProcessApp.open(app, options);
  };
  const send = async (method: string, path: string, given: TestRequestOptions = {}) => {
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
