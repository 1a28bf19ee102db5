import type http from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { bytesTaken } from '../internals/socket-handoff';
import { answersNow } from './response-end';

/** How often it looks at most, ms. */
const LOOK_MS = 1000;

interface Progress {
  /** Bytes of its answers that the system has taken. */
  readonly bytes: number;
  readonly since: number;
}

/**
 * Cuts off callers who do not take their answers: when bytes wait and the system has taken none of them for the whole
 * timeout, as Puma does. Whoever reads slowly makes room in the system's buffer now and then; and an answer that is not
 * there yet, such as the next event of a stream, is nobody's delay but ours.
 */
export class StalledWrites {
  private readonly responses = new Set<ServerResponse>();
  private readonly progress = new WeakMap<Socket, Progress>();

  constructor(
    private readonly timeoutMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Looks again and again until the server has closed. */
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
