import type http from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bytesTaken } from '../internals/socket-handoff';
import { answersNow } from './request-end';

const STALL_CHECK_MS = 1000;

interface Progress {
  /** Bytes of the connection's responses that the kernel has accepted. */
  readonly bytes: number;
  /** When `bytes` last changed, ms on the monotonic clock. */
  readonly since: number;
}

/**
 * Cuts off clients that do not read their responses, as Puma does: bytes are waiting to be written, and the kernel has accepted
 * none of them for the whole timeout. A slow reader is not cut off, since it still makes room in the kernel's buffer now and
 * then. When no bytes are waiting, as between two events of a stream, the client is not slow.
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
    const timer = setInterval(() => this.check(), Math.min(STALL_CHECK_MS, this.timeoutMs / 4));
    timer.unref();
    server.once('close', () => clearInterval(timer));
  }

  add(response: ServerResponse): void {
    this.responses.add(response);
  }

  /** @returns the unfinished responses of a connection. */
  of(socket: Duplex): readonly ServerResponse[] {
    return [...this.responses].filter((response) => response.req.socket === socket);
  }

  delete(response: ServerResponse): void {
    this.responses.delete(response);
  }

  check(): void {
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
