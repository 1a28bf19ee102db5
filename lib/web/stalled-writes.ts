import type http from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { bytesTaken } from '../internals/socket-handoff';
import { answersNow } from './response-end';

/** Maximum interval of the checks, ms. */
const LOOK_MS = 1000;

interface Progress {
  /** Bytes of its responses that the system has accepted. */
  readonly bytes: number;
  readonly since: number;
}

/**
 * Cuts off callers that do not take their responses: bytes wait, and the system has accepted none of them for the whole
 * timeout, as in Puma. A slow reader still makes room in the system's buffer now and then, and a response that is not
 * there yet, such as the next event of a stream, is not the caller's delay.
 */
export class StalledWrites {
  private readonly responses = new Set<ServerResponse>();
  private readonly progress = new WeakMap<Socket, Progress>();

  constructor(
    private readonly timeoutMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Checks at intervals until the server has closed. */
  start(server: http.Server): void {
    const timer = setInterval(() => this.look(), Math.min(LOOK_MS, this.timeoutMs / 4));
    timer.unref();
    server.once('close', () => clearInterval(timer));
  }

  add(response: ServerResponse): void {
    this.responses.add(response);
  }

  delete(response: ServerResponse): void {
    this.responses.delete(response);
  }

  look(): void {
    for (const response of this.responses) if (answersNow(response)) this.judge(response.req.socket);
  }

  private judge(socket: Socket): void {
    const bytes = bytesTaken(socket);
    if (bytes === undefined || socket.writableLength === 0) {
      this.progress.delete(socket);
      return;
    }
    const last = this.progress.get(socket);
    if (last?.bytes !== bytes) this.progress.set(socket, { bytes, since: this.now() });
    else if (this.now() - last.since >= this.timeoutMs) socket.destroy();
  }
}
