import type http from 'node:http';
import net from 'node:net';
import { type Deferred, deferred } from '../support/deferred';

/**
 * The handle under a TCP socket, which Node sends between processes. It is private to Node, so only this file uses it.
 */
export interface RawConnection {
  readStop(): void;
  close(): void;
}

interface Inside {
  readonly _handle?: (RawConnection & Partial<Writes>) | null;
  /** Of a TLS socket: the socket below it. */
  readonly _parent?: net.Socket;
}

interface Writes {
  readonly bytesWritten: number;
  /** Bytes of these that the system has not accepted yet. */
  readonly writeQueueSize: number;
}

/** The first request of a connection without any bytes may still be on its way for this long, ms. */
const FRESH_MS = 1000;
/** The same of a connection of TLS, which no other process can take, ms. */
const FRESH_TLS_MS = 5000;

/** The connections of a server on which no byte of a (next) request has been read. */
export class IdleConnections {
  /** Every open connection, when it arrived, ms on the monotonic clock, and how many bytes of it came before HTTP. */
  private readonly sockets = new Map<net.Socket, { readonly since: number; readonly before: number }>();
  private readonly leaving = new WeakSet<net.Socket>();
  private emptied: Deferred | undefined;

  constructor(private readonly server: http.Server) {
    server.on('connection', (socket) => this.add(socket));
  }

  /** Counts a connection that the server does not have yet, until it has it. */
  add(socket: net.Socket): void {
    // A socket of TLS stands for the one below it.
    this.sockets.delete(rawSocket(socket));
    this.sockets.set(socket, { since: performance.now(), before: socket.bytesRead - socket.readableLength });
    socket.once('close', () => {
      this.sockets.delete(socket);
      if (this.sockets.size === 0) this.emptied?.resolve();
    });
  }

  /** Resolves when no connection is left, idle or not. */
  async gone(): Promise<void> {
    if (this.sockets.size === 0) return;
    this.emptied ??= deferred();
    await this.emptied.promise;
  }

  /**
   * Takes every idle connection off this server and hands it to `give`. No byte is lost: reading stops first, so a
   * request that is just arriving waits in the kernel for the next reader. Our copy is closed when `give` calls `done`.
   */
  handOff(give: (connection: RawConnection, done: () => void) => void): void {
    for (const socket of this.find()) {
      const connection = (socket as unknown as Inside)._handle;
      // Nobody else has the keys of a TLS session that has begun.
      if (rawSocket(socket) !== socket) this.closeIdle(socket);
      if (!connection || rawSocket(socket) !== socket) continue;
      noteArrival(connection, this.isNew(socket) ? arrivalOf(socket) : { ...arrivalOf(socket), isKept: true });
      this.leaving.add(socket);
      socket.setTimeout(0);
      connection.readStop();
      give(connection, () => socket.destroy());
    }
  }

  /**
   * Closes idle connections, where no other process can take them. A request that is just being sent is cut off.
   */
  close(): void {
    for (const socket of this.find()) this.closeIdle(socket);
  }

  private closeIdle(socket: net.Socket): void {
    const since = this.sockets.get(socket)?.since ?? performance.now();
    const freshMs = rawSocket(socket) === socket ? FRESH_MS : FRESH_TLS_MS;
    if (!this.isNew(socket) || performance.now() - since > freshMs) socket.destroy();
  }

  /** True while no byte of a request has been read. */
  private isNew(socket: net.Socket): boolean {
    return socket.bytesRead === this.sockets.get(socket)?.before;
  }

  /**
   * Finds idle connections by calling closeIdleConnections() with `destroy` replaced by a recorder. Node leaves out those that
   * have sent no byte. They count as idle here: they are new, or were idle in the process that sent them.
   */
  private find(): net.Socket[] {
    const sockets = [...this.sockets.keys()];
    const idle = new Set(sockets.filter((socket) => this.isNew(socket)));
    // Sockets that are leaving are included: `destroy` must not close them before they are sent.
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
 * Bytes of a socket that the system has accepted; undefined when it is closed. The socket's own counters move by whole
 * chunks, and a chunk may be a response of 30 MB.
 */
export function bytesTaken(socket: net.Socket): number | undefined {
  const { bytesWritten, writeQueueSize } = (rawSocket(socket) as unknown as Inside)._handle ?? {};
  return bytesWritten === undefined || writeQueueSize === undefined ? undefined : bytesWritten - writeQueueSize;
}

/** @returns the TCP socket below a socket of TLS; any other socket is its own. */
export function rawSocket(socket: net.Socket): net.Socket {
  return (socket as unknown as Inside)._parent ?? socket;
}

/** Makes a socket of a connection that was accepted elsewhere, with the options that a listening server would have set. */
export function socketOf(connection: net.Socket | RawConnection): net.Socket {
  const byHandle = (handle: RawConnection) => new net.Socket({ handle } as net.SocketConstructorOpts);
  const socket = connection instanceof net.Socket ? connection : byHandle(connection);
  socket.allowHalfOpen = true;
  return socket;
}

/** The handle under a listening server, which `spawn` and `process.send` take, too. */
export type ListeningHandle = ConnectionHandle;

/** @returns the handle of a server that listens; undefined if it does not. */
export function listeningHandle(server: net.Server): ListeningHandle | undefined {
  return (server as unknown as { readonly _handle?: ListeningHandle | null })._handle ?? undefined;
}

/** @returns what one process sends to another without reading from it; undefined for a connection that is closed. */
export function handleOf(connection: Connection): ConnectionHandle | undefined {
  if (!(connection instanceof net.Socket)) return connection;
  return (connection as unknown as Inside)._handle ?? undefined;
}

/** The handle under a connection, as one process sends it to another. */
export interface ConnectionHandle {
  close(): void;
}

/** A connection that was accepted here, or one that a draining worker has handed off. */
export type Connection = net.Socket | ConnectionHandle;

/** What comes before HTTP on a connection, and who the client is. */
export interface Arrival {
  /** true: the client speaks TLS. */
  readonly tls?: boolean;
  /** true: a header of the PROXY protocol is still to be read. */
  readonly proxyProtocol?: boolean;
  /** true: it has been served by another process, and waits for its next request. */
  readonly isKept?: boolean;
  /** The client by such a header, which has been read. */
  readonly client?: ClientAddress;
}

/** The client of a connection that a proxy has opened. */
export interface ClientAddress {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly remoteFamily: 'IPv4' | 'IPv6';
}

const arrivals = new WeakMap<object, Arrival>();

/** @returns what the next process must know of a connection; undefined: it is plain HTTP from its peer. */
export function arrivalOf(connection: Connection): Arrival | undefined {
  return arrivals.get(connection);
}

/** Notes what this process, and the next that gets it, must know of a connection. */
export function noteArrival(connection: Connection, arrival: Arrival | undefined): void {
  if (arrival) arrivals.set(connection, arrival);
}

/** Closes this process's copy; the connection lives on where another process has a copy. */
export function closeConnection(connection: Connection): void {
  if (connection instanceof net.Socket) connection.destroy();
  else connection.close();
}
