import type http from 'node:http';
import net from 'node:net';
import { type Deferred, deferred } from '../support/async';

/** The handle under a TCP socket: what Node passes between processes. Private to Node, so used in this file alone. */
export interface RawConnection {
  readStop(): void;
  close(): void;
}

interface Inside {
  readonly _handle?: (RawConnection & Partial<Writes>) | null;
}

interface Writes {
  /** Bytes that it was given. */
  readonly bytesWritten: number;
  /** Of these, those that the system has not taken yet. */
  readonly writeQueueSize: number;
}

/** Of a connection that has just come, the request is still on its way: for this long, ms. */
const FRESH_MS = 1000;

/** The connections of a server of which no byte of a (next) request was read. */
export class IdleConnections {
  /** Since when. */
  private readonly sockets = new Map<net.Socket, number>();
  private readonly leaving = new WeakSet<net.Socket>();
  private emptied: Deferred | undefined;

  constructor(private readonly server: http.Server) {
    server.on('connection', (socket) => {
      this.sockets.set(socket, performance.now());
      socket.once('close', () => {
        this.sockets.delete(socket);
        if (this.sockets.size === 0) this.emptied?.resolve();
      });
    });
  }

  /** Resolves when no connection is left, idle or not. */
  async gone(): Promise<void> {
    if (this.sockets.size === 0) return;
    this.emptied ??= deferred();
    await this.emptied.promise;
  }

  /**
   * Takes every idle connection off this server and gives it away. Nothing is lost with it: reading stops first, so a
   * request that is just arriving waits in the kernel for whoever reads next. Our copy is closed once `give` is done.
   */
  handOff(give: (connection: RawConnection, done: () => void) => void): void {
    for (const socket of this.find()) {
      const connection = (socket as unknown as Inside)._handle;
      if (!connection) continue;
      this.leaving.add(socket);
      socket.setTimeout(0);
      connection.readStop();
      give(connection, () => socket.destroy());
    }
  }

  /** Where nobody can take them: who is sending a request this very moment is cut off. */
  close(): void {
    const now = performance.now();
    for (const socket of this.find()) {
      if (socket.bytesRead > 0 || now - (this.sockets.get(socket) ?? now) > FRESH_MS) socket.destroy();
    }
  }

  /**
   * Asks Node: those that closeIdleConnections() would destroy, with destroying switched off for the call. It leaves out
   * those that have not sent a byte yet, to us: they are new, or were idle when another process gave them away.
   */
  private find(): net.Socket[] {
    const sockets = [...this.sockets.keys()];
    const idle = new Set(sockets.filter((socket) => socket.bytesRead === 0));
    // Those that are leaving, too: they are still to be sent.
    for (const socket of sockets) {
      socket.destroy = () => {
        idle.add(socket);
        return socket;
      };
    }
    this.server.closeIdleConnections();
    for (const socket of sockets) Reflect.deleteProperty(socket, 'destroy');
    return [...idle].filter((socket) => !this.leaving.has(socket));
  }
}

/**
 * How many bytes of a socket the system has taken; undefined when it is closed. The socket's own counts know whole chunks
 * only, of which one may be an answer of 30 MB.
 */
export function bytesTaken(socket: net.Socket): number | undefined {
  const { bytesWritten, writeQueueSize } = (socket as unknown as Inside)._handle ?? {};
  return bytesWritten === undefined || writeQueueSize === undefined ? undefined : bytesWritten - writeQueueSize;
}

/** The socket of a connection that another process had, as a listening server would have made it. */
export function socketOf(connection: net.Socket | RawConnection): net.Socket {
  const byHandle = (handle: RawConnection) => new net.Socket({ handle } as net.SocketConstructorOpts);
  const socket = connection instanceof net.Socket ? connection : byHandle(connection);
  socket.allowHalfOpen = true;
  return socket;
}

/** The handle under a connection, as one process sends it to another. */
export interface ConnectionHandle {
  close(): void;
}

/** A connection that was accepted here, or one that a leaving worker gave back. */
export type Connection = net.Socket | ConnectionHandle;

/** Closes this process's copy; where another process has one, the connection lives on. */
export function closeConnection(connection: Connection): void {
  if (connection instanceof net.Socket) connection.destroy();
  else connection.close();
}
