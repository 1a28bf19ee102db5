import WebSocket from 'ws';
import { deferred } from '../../support/deferred';

/**
 * A session with the inspector of another process of this machine. Its requests interrupt JavaScript that runs, so that a blocked
 * process answers, too.
 */
export class InspectorSession {
  /** Called with the notifications of the inspector. */
  onEvent: (method: string, params: Readonly<Record<string, unknown>>) => void = () => undefined;
  /** Resolves when the connection has ended. */
  readonly closed = deferred();
  private readonly waiting = new Map<number, (result: unknown) => void>();

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (text) => this.hear(String(text)));
    socket.once('close', () => this.closed.resolve());
  }

  /** @param url as Node prints it, `ws://127.0.0.1:PORT/ID`. */
  static open(url: string): Promise<InspectorSession> {
    const opened = deferred<InspectorSession>();
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.once('open', () => opened.resolve(new InspectorSession(socket)));
    // Also later: the process may be killed at any time.
    socket.on('error', opened.reject);
    return opened.promise;
  }

  end(): void {
    this.socket.terminate();
  }

  /** @returns the result; never settles if the process ends, or is in native code. */
  ask(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = this.waiting.size + 1;
    const { promise, resolve } = deferred<unknown>();
    this.waiting.set(id, resolve);
    this.socket.send(JSON.stringify({ id, method, params }), () => undefined);
    return promise;
  }

  private hear(text: string): void {
    const { id, result, method, params } = JSON.parse(text) as {
      readonly id?: number;
      readonly result?: unknown;
      readonly method?: string;
      readonly params?: Readonly<Record<string, unknown>>;
    };
    if (id !== undefined) this.waiting.get(id)?.(result);
    else if (method !== undefined) this.onEvent(method, params ?? {});
  }
}
