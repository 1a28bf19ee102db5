import { withTimeout } from './deadline';
import { type Deferred, deferred } from './deferred';

interface TimeLimit {
  readonly ms: number;
  /** Called when no reply has come by then; the request fails with its error. */
  readonly onLate: () => Error;
}

/**
 * Requests to another process over a channel that carries single messages, such as IPC. Each request has an id, which its reply
 * repeats, since replies may come in any order.
 */
export class RequestReply<Request, Reply> {
  private readonly pending = new Map<number, Deferred<Reply>>();
  private count = 0;

  /** @param send throws, or drops the message, when the other process is gone. */
  constructor(private readonly send: (id: number, request: Request) => void) {}

  /** @param limit without one, the request waits until it is answered or `failAll` is called. */
  async ask(request: Request, limit?: TimeLimit): Promise<Reply> {
    const id = ++this.count;
    const replied = deferred<Reply>();
    this.pending.set(id, replied);
    try {
      this.send(id, request);
      return await (limit ? withTimeout(replied.promise, limit.ms, limit.onLate) : replied.promise);
    } finally {
      this.pending.delete(id);
    }
  }

  /** Settles the request with that id. A reply that comes too late is dropped. */
  settle(id: number, reply: Reply | Error): void {
    const request = this.pending.get(id);
    if (reply instanceof Error) request?.reject(reply);
    else request?.resolve(reply);
  }

  /** Fails all requests that wait for a reply: the other process is gone. */
  failAll(error: () => Error): void {
    for (const { reject } of this.pending.values()) reject(error());
  }
}
